"""Two meshes that take turns under load, so that both meet the same machine: what one carries as a share of the other."""

from collections.abc import Sequence

from eil_cli.bench.load_tools import bench_token, rest_load
from eil_cli.bench.mesh import MeasuredMesh
from eil_cli.bench.progress import Begin
from eil_cli.endpoint import Endpoint


def take_turns(begin: Begin, what: str, meshes: Sequence[MeasuredMesh], *, turns: int, turn_s: float) -> list[float]:
    """Samples by REST that the first mesh carries, divided by those of the second, for each of the turns.

    Who begins changes from turn to turn. One turn more, before the others, warms up.

    Args:
        begin: progress.
        what: the difference between the meshes.
        meshes: two.
        turns: how many.
        turn_s: how long each mesh's is [s].

    Raises:
        Failure: wrk is missing, or did not end well.
    """
    shares: list[float] = []
    for turn in range(turns + 1):
        begin(f"{what}, turn {turn} of {turns}", 1)
        rates = [0.0, 0.0]
        for mine in (0, 1) if turn % 2 else (1, 0):
            mesh = meshes[mine]
            load = rest_load(Endpoint.load(mesh.state), bench_token(mesh.state, "bench"), turn_s, prefix=f"t{turn}")
            rates[mine] = load.per_s
        if turn:
            shares.append(rates[0] / rates[1])
    return shares
