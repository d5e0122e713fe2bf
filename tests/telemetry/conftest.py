"""A mesh of its own, which exports its traces, and one loop through it in one trace."""

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass

import httpx
import pytest
from eil_cli.door import Door
from prometheus_client.parser import text_string_to_metric_families
from support.agents import agent
from support.collector import Collector, Span, collecting
from support.mesh import RunningMesh, temporary_mesh
from support.plant import Plant, stamps

from .signals import EDGES, TRACE


@dataclass(frozen=True)
class Traced:
    """What one loop left behind."""

    mesh: RunningMesh
    spans: list[Span]
    """Of the loop's trace."""
    figures: dict[str, dict[str, float]]
    """Sum of each metric's samples, by process."""


def scrape(url: str, accept: str = "") -> str:
    return httpx.get(url, headers={"accept": accept} if accept else {}, timeout=10, trust_env=False).text


def totals(page: str) -> dict[str, float]:
    """Sums of samples by name; of histograms their count."""
    found: dict[str, float] = {}
    for family in text_string_to_metric_families(page):
        for sample in family.samples:
            if sample.name.endswith(("_bucket", "_sum", "_created")):
                continue
            name = sample.name.removesuffix("_count") if family.type == "histogram" else sample.name
            found[name] = found.get(name, 0.0) + sample.value
    return found


def loop(mesh: RunningMesh) -> None:
    """Sense, act, proof, mint; ask for prices, let an agent look: what the mesh is for, in one trace."""
    headers = {"traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"}
    token = mesh.token("operator", "agent", tenant="demo", subject="fleet-owner")
    door = Door(mesh.endpoint, token, headers=headers)
    try:
        plant = Plant(door, stamps())
        door.call("PUT", f"/v1/sources/{plant.source}", {"kind": "simulated"})
        plant.sense(60)
        decision = plant.act()
        plant.sense(6)
        verdict = door.call("POST", "/v1/proof", plant.proof_of(decision))
        assert verdict["pft_minted"] > 0
        door.call("GET", "/v1/market/pricing")
        asyncio.run(_ask_as_agent(mesh, headers))
    finally:
        door.close()


async def _ask_as_agent(mesh: RunningMesh, headers: dict[str, str]) -> None:
    async with agent(mesh, "agent", tenant="demo", **headers) as client:
        assert not (await client.call_tool("get_status", {})).is_error


@pytest.fixture(scope="session")
def collector() -> Iterator[Collector]:
    with collecting() as running:
        yield running


@pytest.fixture(scope="session")
def traced(collector: Collector) -> Iterator[Traced]:
    with temporary_mesh("--otlp", collector.address, "--traced", "0") as mesh:
        loop(mesh)
        time.sleep(12)  # followers say how far behind they are every ten seconds
        wanted = {(edge.service, edge.span) for edge in EDGES}
        spans = collector.await_spans(TRACE, lambda found: wanted <= {(one.service, one.name) for one in found})
        yield Traced(mesh, spans, {name: totals(scrape(url)) for name, url in mesh.endpoint.metrics.items()})
