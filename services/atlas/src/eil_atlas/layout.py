"""What maps are drawn from: where sources stand, what joins them, and their energies in steps of time, as the graph answers."""

from dataclasses import dataclass

from eil_atlas.answers import Answers
from eil_atlas.changes import Link
from eil_atlas.domain.readings import Energy


@dataclass(frozen=True, slots=True)
class Place:
    """Where a source stands, in rows and in racks along a row."""

    row: float
    rack: float


class Layout:
    """Each tenant's own. Every method raises Unavailable where the graph cannot be reached."""

    def __init__(self, answers: Answers) -> None:
        self._answers = answers

    async def energies(self, tenant: str, start_us: int, end_us: int, step_s: float) -> list[Energy]:
        """Energies of states that begin in [start_us, end_us), added up by source and by steps from `start_us` on."""
        return [
            Energy(span.source, span.start_us, span.energy_j, span.covered_s, span.entropy, span.last_regime)
            for span in await self._answers.energies(tenant, start_us, end_us, step_s)
        ]

    async def places(self, tenant: str) -> dict[str, Place]:
        """Place of each source that told both its row and its rack."""
        return {
            place.source: Place(place.row, place.rack)
            for place in await self._answers.places(tenant)
            if place.row is not None and place.rack is not None
        }

    async def links(self, tenant: str) -> list[Link]:
        """Links between sources."""
        return await self._answers.links(tenant)
