"""Accounts, providers, keys, origins and the table of access, as a person or a script meets them."""

import json
import stat
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from eil_cli import origins
from eil_cli.accounts import PANEL
from eil_cli.endpoint import Endpoint
from eil_cli.main import build
from eil_cli.terminal import Failure
from eil_gateway.envoy import write_config
from eil_gateway.keys import ensure_keys, issue_token
from eil_mesh.accounts import Accounts
from eil_mesh.errors import Unauthenticated
from eil_mesh.identity import TokenVerifier
from eil_mesh.issuers import read_issuers
from typer.testing import CliRunner, Result

Eil = Callable[..., Result]
PROVIDER = ("https://idp.example", "--audience", "eil", "--tenant", "acme")


@pytest.fixture
def eil(tmp_path: Path) -> Eil:
    app, runner = build(), CliRunner()

    def run(*arguments: str, refused: str = "") -> Result:
        result = runner.invoke(app, [*arguments, "--state", str(tmp_path)])
        if refused:
            assert result.exit_code == 1, result.output
            assert refused in result.stderr
        else:
            assert result.exit_code == 0, result.output
        return result

    return run


def test_an_account_is_made_changed_and_removed(eil: Eil, tmp_path: Path) -> None:
    eil("account", "add", "meter-7", "-r", "agent", refused="eil up")
    folder = ensure_keys(tmp_path).folder
    made = json.loads(eil("account", "add", "meter-7", "-r", "agent", "--tenant", "acme", "--json").stdout)
    assert made["client_id"] == "meter-7"
    assert stat.S_IMODE((folder / "accounts.json").stat().st_mode) == 0o600
    known = Accounts.read(folder).known("meter-7", made["client_secret"])
    assert known is not None
    assert (known.roles, known.tenant) == (("agent",), "acme")
    eil("account", "add", "meter-7", "-r", "agent", refused="rotate")
    eil("account", "add", "x", "-r", "emperor", refused="emperor")
    listed = eil("account", "list", "--json").stdout
    assert json.loads(listed) == [{"name": "meter-7", "roles": ["agent"], "tenant": "acme"}]
    assert "meter-7" in eil("account", "list").stdout
    new = eil("account", "rotate", "meter-7").stdout.split()[-1]
    accounts = Accounts.read(folder)
    assert accounts.known("meter-7", new)
    assert not accounts.known("meter-7", made["client_secret"])
    eil("account", "remove", "meter-7")
    assert Accounts.read(folder).all() == []
    eil("account", "remove", "meter-7", refused="no account meter-7")


def test_a_provider_is_listed_and_the_door_is_told(eil: Eil, tmp_path: Path) -> None:
    folder = ensure_keys(tmp_path).folder
    write_config(tmp_path, port=8443, admin_port=None)

    def door() -> str:
        return "".join(
            (tmp_path / "gateway" / name).read_text() for name in ("jwt.json", "roles.json", "clusters.json")
        )

    url = ("--jwks-url", "https://idp.example/keys")
    eil("issuers", "add", *PROVIDER, *url, "--roles-claim", "realm_access.roles", "--role", "ops=operator")
    (listed,) = read_issuers(folder)
    assert (listed.roles, listed.tenant) == ({"ops": "operator"}, "acme")
    assert "idp.example/keys" in door()
    assert "realm_access" in door()
    eil("issuers", "add", *PROVIDER, *url, "--roles-claim", "groups")
    assert [issuer.roles_claim for issuer in read_issuers(folder)] == ["groups"], "added again it is changed"
    assert json.loads(eil("issuers", "list", "--json").stdout)[0]["roles_claim"] == "groups"
    assert "idp.example" in eil("issuers", "list").stdout
    for wrong, says in (
        (("--jwks-url", "http://idp.example/keys"), "https"),
        ((), "jwks_file"),
        (("--jwks-file", "none.json"), "does not exist"),
        ((*url, "--role", "ops=emperor"), "emperor"),
    ):
        eil("issuers", "add", *PROVIDER, *wrong, refused=says)
    eil("issuers", "remove", "https://idp.example")
    assert read_issuers(folder) == []
    assert "idp.example" not in door()
    eil("issuers", "remove", "https://idp.example", refused="eil issuers list")


def test_a_providers_keys_in_a_file_reach_the_door_when_it_is_told(eil: Eil, tmp_path: Path) -> None:
    folder = ensure_keys(tmp_path).folder
    write_config(tmp_path, port=8443, admin_port=None)
    (folder / "theirs.json").write_text('{"keys": [{"kid": "theirs-1"}]}')
    eil("issuers", "add", *PROVIDER, "--jwks-file", "theirs.json")
    (folder / "theirs.json").write_text('{"keys": [{"kid": "theirs-2"}]}')
    assert "theirs-2" not in (tmp_path / "gateway/jwt.json").read_text()
    eil("issuers", "apply")
    assert "theirs-2" in (tmp_path / "gateway/jwt.json").read_text()


def test_a_new_key_signs_and_the_old_one_is_withdrawn(eil: Eil, tmp_path: Path) -> None:
    eil("keys", "rotate", refused="eil up")
    keys = ensure_keys(tmp_path)
    old = issue_token(tmp_path, subject="ada", roles=["viewer"], now_s=time.time())
    Endpoint("https://127.0.0.1:1", "127.0.0.1:1", str(keys.ca), old, {}, 1).save(tmp_path)
    eil("keys", "rotate")
    verifier = TokenVerifier(keys.jwks, "eil", "eil", now_s=time.time)
    new = issue_token(tmp_path, subject="ada", roles=["viewer"], now_s=time.time())
    assert verifier.verify(old) == verifier.verify(new)
    admin = Endpoint.load(tmp_path).admin_token
    assert admin != old, "scripts go on with a token of the new key"
    assert "withdrawn: 1" in eil("keys", "rotate", "--retire").stderr
    assert verifier.verify(admin).roles == {"admin"}
    assert verifier.verify(new)
    with pytest.raises(Unauthenticated):
        verifier.verify(old)


def test_the_certificate_is_renewed_where_it_is_due(eil: Eil, tmp_path: Path) -> None:
    eil("keys", "renew", refused="eil up")
    before = ensure_keys(tmp_path).certificate.read_bytes()
    assert "not due" in eil("keys", "renew").stderr
    eil("keys", "renew", "--host", "eil.example")
    assert ensure_keys(tmp_path).certificate.read_bytes() != before


def test_origins_are_remembered_until_others_are_named(tmp_path: Path) -> None:
    assert origins.allowed(tmp_path) == []
    origins.remember(tmp_path, ["https://Portal.example", "http://localhost:5173"])
    assert origins.allowed(tmp_path) == ["https://portal.example", "http://localhost:5173"], "as browsers write it"
    origins.remember(tmp_path, ["none"])
    assert origins.allowed(tmp_path) == []
    for text in ("portal.example", "https://portal.example/", "*", "http://portal.example", "ftp://a", "null", ""):
        with pytest.raises(Failure, match="http"):
            origins.remember(tmp_path, [text])


def table() -> list[dict[str, Any]]:
    result = CliRunner().invoke(build(), ["access", "--json"])
    assert result.exit_code == 0
    return json.loads(result.stdout)


def test_the_table_says_who_may_call_what() -> None:
    by_name = {row["method"] or row["rest"]: row for row in table()}
    sense = by_name["/eil.regime.v1.RegimeService/Sense"]
    assert (sense["rest"], sense["roles"], sense["idempotent"]) == ("POST /v1/sense", ["agent", "operator"], True)
    assert sense["price_u"] > 0
    mint = by_name["/eil.economy.v1.EconomyService/Mint"]
    assert (mint["rest"], mint["roles"], mint["services"]) == ("", [], ["proof"])
    assert by_name["/eil.regime.v1.RegimeService/DeleteSource"]["audited"]
    assert by_name["GET /v1/health"]["roles"] == ["everybody"]
    assert by_name["POST /mcp"]["roles"] == ["admin", "agent", "operator", "viewer"]
    assert "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export" in by_name


def test_the_table_for_people_cuts_nothing_off() -> None:
    printed = CliRunner().invoke(build(), ["access"]).stdout
    for row in table():
        assert row["rest"] in printed
        assert row["method"].rpartition("/")[2] in printed


def test_it_is_all_in_one_place_of_the_help() -> None:
    assert PANEL in CliRunner().invoke(build(), ["--help"]).stdout
