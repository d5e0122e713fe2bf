"""Records that somebody altered: of each alteration, whether the check notices."""

import copy
import json
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from eil_proof.domain.mv.intervals import Intervals
from eil_proof.domain.mv.record import REGRESSION, Exclusion, Plan, canonical, commit, conclude, data_of, digest
from eil_proof.signing import check, signed

from eil_cli.bench.proof_savings import BASELINE_D, HOUR_S, START_US, meter

LENGTH_H = 168
STEP_US = HOUR_S * 1_000_000


def honest_record() -> dict[str, Any]:
    """A record of a saving of 10 %."""
    hours = BASELINE_D * 24
    load, law, noise = meter(np.random.default_rng(0), hours + LENGTH_H, 0.5)
    energy_j = law + noise
    plan = Plan(
        id="ver_bench",
        tenant="default",
        source="rack",
        boundary="feeder of a rack",
        ipmvp_option="B",
        method=REGRESSION,
        model="change_point",
        driver=("request_rate",),
        interval_s=HOUR_S,
        baseline_start_us=START_US,
        baseline_intervals=hours,
        reporting_start_us=START_US + hours * STEP_US,
        reporting_intervals=LENGTH_H,
    )
    source = {"kind": "metered", "power_method": "METERED", "own_credential": True}
    baseline = data_of(Intervals(START_US, HOUR_S, energy_j[:hours], load[:hours]), source)
    reporting = Intervals(plan.reporting_start_us, HOUR_S, 0.9 * energy_j[hours:], load[hours:])
    commitment = commit(plan, plan.reporting_start_us - 1, baseline, "bench")
    event = Exclusion(plan.reporting_start_us, plan.reporting_start_us + STEP_US, "outage", "log", "bench", 0)
    end_us = plan.reporting_start_us + LENGTH_H * STEP_US
    return conclude(commitment, data_of(reporting, source), (event,), end_us)


def caught_share(alterations: int, step: Callable[[], None]) -> float:
    """Share of alterations that the check notices, in turn: a byte of the file; a field, everything else as it was; a field, with all
    digests made anew, signed by another key and checked with the right one."""
    key, forger = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
    record = honest_record()
    file = signed(record, key).encode()
    public = json.loads(file)["signature"]["public_key"]
    if check(file, public).problems:
        return 0.0
    rng, caught = np.random.default_rng(0), 0
    for number in range(alterations):
        if number % 3 == 0:
            altered = _other_byte(file, rng)
        elif number % 3 == 1:
            envelope = json.loads(file)
            _other_field(envelope, rng)
            altered = canonical(envelope)
        else:
            forged = copy.deepcopy(record)
            _other_field(forged, rng)
            altered = signed(_redigested(forged), forger).encode()
        caught += bool(check(altered, public).problems)
        step()
    return caught / alterations


def _other_byte(file: bytes, rng: np.random.Generator) -> bytes:
    place = int(rng.integers(len(file)))
    return file[:place] + bytes([(file[place] + int(rng.integers(1, 256))) % 256]) + file[place + 1 :]


def _other_field(tree: dict[str, Any], rng: np.random.Generator) -> None:
    """Change a value somewhere; places of the tree are drawn evenly, so that long columns do not hide the rest."""
    node: Any = tree
    while True:
        keys = sorted(node) if isinstance(node, dict) else range(len(node))
        full = [key for key in keys if not isinstance(node[key], dict | list) or node[key]]
        key = full[int(rng.integers(len(full)))]
        if not isinstance(node[key], dict | list):
            node[key] = _other(node[key], rng)
            return
        node = node[key]


def _other(value: Any, rng: np.random.Generator) -> Any:
    if isinstance(value, bool) or value is None:
        return not value
    if isinstance(value, int):
        return value + int(rng.integers(1, 1000))
    if isinstance(value, float):
        return value * (1 + 1e-6) + 1e-6
    return value + "x"


def _redigested(record: dict[str, Any]) -> dict[str, Any]:
    """A record with the digests that its content has."""
    for data in _data(record):
        columns = {name: data[name] for name in ("start_us", "interval_s", "energy_j", "driver")}
        data["sha256"] = digest(columns)
    record["commitment_sha256"] = digest(record["commitment"])
    record["sha256"] = digest({name: value for name, value in record.items() if name != "sha256"})
    return record


def _data(record: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield record["reporting"]
    yield record["commitment"]["baseline"]
