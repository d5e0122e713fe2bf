"""What agents read and how they may begin: resources and prompts. Their wording is fixed; a prompt's arguments are checked before they
enter its text."""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from eil_mesh.errors import InvalidArgument

from eil_bridge.tool_table import SOURCE

UNITS = """\
# Units and words

* SI throughout: J, W, K, s; temperatures in °C. Times are RFC 3339 in UTC; windows are half-open.
* `total_energy` is the integral of power over the source's accounting window (60 s by default). Gaps are reported, never bridged.
* `entropy` [J/K] is generated entropy over the same window.
* Fractions run from 0 to 1. `energy_error` and `entropy_error` are percent of the measured value.
* A saving is what would have been used minus what was used, with its uncertainty: never "before minus after".
* CEU, PFT and MUNT are counted in integers of 10^-6 token; fields that end in `_u` hold these, as strings.
* `confidence` is calibrated: of answers given with 0.9, nine in ten come true.
"""


@dataclass(frozen=True, slots=True)
class Resource:
    """A resource: one method of one service, or a text. `uri` may hold one `{name}`, which becomes the argument of that name."""

    uri: str
    name: str
    description: str
    service: str = ""
    method: str = ""
    text: str = ""

    @property
    def template(self) -> bool:
        return "{" in self.uri

    def arguments(self, uri: str) -> dict[str, str] | None:
        """The method's arguments that a URI stands for; None if it is none of this resource's."""
        pattern = re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>[^/?#]+)", re.escape(self.uri))
        found = re.fullmatch(pattern, uri)
        return None if found is None else {name: unquote(value) for name, value in found.groupdict().items()}


RESOURCES = (
    Resource(
        "eil://sources",
        "sources",
        "Every source of the tenant with its energy state and regime.",
        "regime",
        "GetStatus",
    ),
    Resource(
        "eil://sources/{source}/status",
        "source status",
        "Energy state and regime of one source; `/` in its name is written %2F.",
        "regime",
        "GetStatus",
    ),
    Resource("eil://energy-map", "energy map", "Where the energy of the last hour went.", "atlas", "GetEnergyMap"),
    Resource(
        "eil://decisions/{prediction_id}",
        "decision",
        "A decision: what was asked, answered and committed.",
        "decision",
        "GetDecision",
    ),
    Resource("eil://docs/units", "units", "What the figures mean.", text=UNITS),
)


@dataclass(frozen=True, slots=True)
class Prompt:
    """A way to begin. `arguments`: description by name; the first is needed. `write` makes the text of checked values."""

    name: str
    title: str
    description: str
    arguments: Mapping[str, str]
    write: Callable[[Mapping[str, str]], str]

    def text(self, given: Mapping[str, Any]) -> str:
        """What is said to the model.

        Raises:
            InvalidArgument: an argument is missing, unknown, or not what it should be.
        """
        needed = next(iter(self.arguments))
        if unknown := set(given) - set(self.arguments):
            raise _wrong(sorted(unknown)[0], "is no argument of this prompt")
        if not re.fullmatch(SOURCE, str(given.get(needed, ""))):
            raise _wrong(needed, "must be a source's name: letters, digits and ._:/-, 128 at most")
        if (latency := given.get("max_latency_ms")) is not None and not _positive(latency):
            raise _wrong("max_latency_ms", "must be a number of milliseconds above 0")
        return self.write(given)


def _positive(text: Any) -> bool:
    try:
        return 0 < float(text) < math.inf
    except (TypeError, ValueError):
        return False


def _wrong(name: str, problem: str) -> InvalidArgument:
    return InvalidArgument(f"`{name}` {problem}", violations={name: problem})


def _save(given: Mapping[str, str]) -> str:
    latency = given.get("max_latency_ms")
    limit = f" and a max_latency_ms of {float(latency):g}" if latency else ""
    return (
        f"Save energy on the source {given['source']} without breaking what it is for.\n"
        "1. get_status: see its energy state and regime; if the regime is transition or critical, stop here and say so.\n"
        f"2. what_if with goal minimize_energy{limit}: compare two or three horizons; nothing is committed.\n"
        "3. act with the best of them: this commits the prediction. Say what it would do and why (explain_decision).\n"
        "4. Once horizon_s has passed, get_status again and prove; report energy_error and pft_minted, or the reason for neither."
    )


def _explain(given: Mapping[str, str]) -> str:
    return (
        f"Explain the last decision about the source {given['source']} to its operator.\n"
        "Call decisions with page_size 1, then explain_decision with its prediction_id. Say what was asked, which action was chosen, the "
        "next two candidates with what they would have cost [J], and which constraint or reason decided. Use figures of the answers alone."
    )


def _verify(given: Mapping[str, str]) -> str:
    return (
        f"Find out whether the saving that was predicted for the source {given['source']} came true.\n"
        "Call decisions for it; take the newest whose window has ended. Read the source's state (get_status) and prove that prediction "
        "with its predicted_state echoed exactly and your own meter's figures. Report valid, energy_error [%], and the reason. A saving is "
        "what would have been used minus what was used: do not call a difference between two times a saving."
    )


_SOURCE = {"source": "Name of the source."}
PROMPTS = (
    Prompt(
        "save_energy",
        "Save energy",
        "Look, compare, act and prove, within a latency.",
        {**_SOURCE, "max_latency_ms": "Largest latency that is still good [ms]."},
        _save,
    ),
    Prompt("explain_last_decision", "Explain the last decision", "What was decided, and why.", _SOURCE, _explain),
    Prompt("verify_saving", "Verify a saving", "Whether a predicted saving came true.", _SOURCE, _verify),
)
