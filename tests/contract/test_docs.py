"""The documentation says what the code says: every reason, every setting, every metric of a service, and links that lead somewhere."""

import ast
import importlib
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from eil_bridge.replies import HTTP_STATUS
from eil_economy.domain.errors import LedgerError
from eil_economy.entries import STATUS
from eil_gateway.errors import REPLIES
from eil_market.domain.errors import MarketError
from eil_mesh import errors
from eil_mesh.services import SERVICES
from google.rpc.code_pb2 import Code

ROOT = Path(__file__).parents[2]
SOURCES = sorted(path for part in ("libs", "services", "gateway") for path in ROOT.glob(f"{part}/**/src/eil_*/**/*.py"))
PAGES = sorted(
    path
    for pattern in ("README.md", "docs/**/*.md", "services/*/README.md", "libs/*/README.md", "gateway/README.md")
    for path in ROOT.glob(pattern)
)
UPPER_SNAKE = re.compile(r"[A-Z][A-Z0-9]*(_[A-Z0-9]+)*")
NAMED_FIRST = ("Refusal", "Reply", "Ending", "DoorError")
"""Classes whose reason is an argument without a name."""
EXACT_HTTP = {
    "NO_SUCH_METHOD": "405",
    "MCP_REFUSED": "400, 403, 406, 413, 421",
    "TOO_MANY_STREAMS": "429, close 1013",
    "TOO_SLOW": "close 1013",
    "LAST_ID_UNKNOWN": "close 4400",
    "JOURNAL_RESTORED": "close 1001",
    "STREAM_STOPPING": "503, close 1001",
}
"""Where the bridge knows better than the status of the gRPC code."""
NO_ANSWER = "–"
"""In the columns of codes: the command gives this reason itself, because no answer came."""
Tree = tuple[Path, ast.Module]


@pytest.fixture(scope="module")
def trees() -> list[Tree]:
    return [(path, ast.parse(path.read_text())) for path in SOURCES]


def literals(node: ast.expr) -> Iterator[str]:
    """The reasons that an expression may be: a literal, or either side of a condition."""
    if isinstance(node, ast.IfExp):
        yield from literals(node.body)
        yield from literals(node.orelse)
    elif isinstance(node, ast.Constant) and isinstance(node.value, str) and UPPER_SNAKE.fullmatch(node.value):
        yield node.value


def reasons_of(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """(reason, name of the class or function it is given to) wherever source code names a reason."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            to = node.func.id if isinstance(node.func, ast.Name) else ""
            given = [keyword.value for keyword in node.keywords if keyword.arg == "reason"]
            for value in [*given, *(node.args if to in NAMED_FIRST else ())]:
                yield from ((reason, to) for reason in literals(value))
        elif isinstance(node, ast.ClassDef):
            for line in node.body:
                targets = line.targets if isinstance(line, ast.Assign) else [getattr(line, "target", None)]
                value = line.value if isinstance(line, ast.Assign | ast.AnnAssign) else None
                if value and [getattr(target, "id", "") for target in targets] == ["reason"]:
                    yield from ((reason, node.name) for reason in literals(value))


def refused_by(base: type, code_of: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """(reason, gRPC code) of a domain's tree of refusals."""
    for kind in base.__subclasses__():
        yield kind.reason, code_of[kind.kind]
        yield from refused_by(kind, code_of)


@pytest.fixture(scope="module")
def documented() -> dict[str, tuple[str, str]]:
    """(gRPC code, HTTP status) by reason, as docs/errors.md has them."""
    rows = re.findall(r"^\| `([A-Z0-9_]+)` \| (\S+) \| ([^|]+) \|", (ROOT / "docs/errors.md").read_text(), re.MULTILINE)
    assert len(rows) == len({reason for reason, *_ in rows}), "a reason stands in one row"
    assert rows == sorted(rows, key=lambda row: (row[1] == NO_ANSWER, row[0])), (
        "sorted; what the command says itself last"
    )
    return {reason: (code, http) for reason, code, http in rows}


def test_every_reason_in_the_code_is_documented_and_no_other(trees, documented):
    named = {reason: path for path, tree in trees for reason, _ in reasons_of(tree)}
    missing = {reason: str(named[reason].relative_to(ROOT)) for reason in named.keys() - documented.keys()}
    gone = sorted(documented.keys() - named.keys())
    assert not missing, "these are not in docs/errors.md"
    assert not gone, "docs/errors.md has these, but no code gives them"


def test_reasons_have_the_codes_that_they_are_raised_with(trees, documented):
    raised: defaultdict[str, set[str]] = defaultdict(set)
    for reason, code in refused_by(LedgerError, {kind: status.code for kind, status in STATUS.items()}):
        raised[reason].add(code)
    market = {"invalid": "INVALID_ARGUMENT", "precondition": "FAILED_PRECONDITION"}
    for reason, code in refused_by(MarketError, market):
        raised[reason].add(code)
    for reply in REPLIES:
        raised[reply.reason].add(Code.Name(reply.grpc))
    for _, tree in trees:
        for reason, to in reasons_of(tree):
            kind = getattr(errors, to, None)
            if kind is not None and issubclass(kind, errors.EilError):
                raised[reason].add(kind.code)
    wrong = {reason: codes for reason, codes in raised.items() if codes != {documented.get(reason, ("missing",))[0]}}
    assert not wrong, "docs/errors.md says another gRPC code"


def test_reasons_have_the_http_status_of_their_code(documented):
    exact = {**{reply.reason: str(reply.status) for reply in REPLIES}, **EXACT_HTTP}
    for reason, (code, http) in documented.items():
        if code != NO_ANSWER:
            assert http == exact.get(reason, str(HTTP_STATUS.get(code, 500))), reason


@pytest.mark.parametrize("name", SERVICES)
def test_every_setting_stands_in_its_services_readme(name):
    readme = (ROOT / f"services/{name}/README.md").read_text()
    tree = ast.parse((ROOT / f"services/{name}/src/eil_{name}/settings.py").read_text())
    kind = next(node for node in tree.body if isinstance(node, ast.ClassDef))
    fields = getattr(importlib.import_module(f"eil_{name}.settings"), kind.name).model_fields
    own = [
        (line.target.id, ast.literal_eval(text.value))
        for line, text in zip(kind.body, kind.body[1:], strict=False)
        if isinstance(line, ast.AnnAssign) and isinstance(line.target, ast.Name) and line.target.id in fields
        if isinstance(text, ast.Expr)
    ]
    rows = [f"| `{field}` | `{fields[field].default}` | {meaning} |" for field, meaning in own]
    assert rows, "a service has settings, and each is explained beneath itself"
    assert re.findall(r"^\| `[a-z0-9_]+` .*$", readme, re.MULTILINE) == rows


@pytest.mark.parametrize("name", SERVICES)
def test_every_metric_that_a_service_sets_stands_in_its_readme(name, trees):
    readme = (ROOT / f"services/{name}/README.md").read_text()
    registry = ast.parse((ROOT / "libs/mesh/src/eil_mesh/metrics.py").read_text())
    names = {
        ast.unparse(line.targets[0]): ast.literal_eval(line.value.args[0])
        for line in registry.body
        if isinstance(line, ast.Assign) and isinstance(line.value, ast.Call) and line.value.args
        if isinstance(line.value.args[0], ast.Constant)
    }
    used = {
        names[node.attr]
        for path, tree in trees
        if path.is_relative_to(ROOT / "services" / name)
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "metrics"
    }
    assert not [metric for metric in used if f"`{metric}" not in readme]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    links = [link.partition("#")[0] for link in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in link]
    assert not [link for link in links if link and not (page.parent / link).exists()]
