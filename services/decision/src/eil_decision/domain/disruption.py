"""What a move is worth against what it disturbs."""


def score(hold_j: float, chosen_j: float, servers: int, target: int) -> float:
    """Share of the energy saved over share of the fleet moved, as Karpenter's `Balanced` policy weighs a consolidation.

    1 is a move that saves as large a share as it moves; well below it much is disturbed for little. 0 where nothing moves; below 0 where
    the move costs energy, as a start for the load's sake does.

    Args:
        hold_j: energy over the horizon if nothing is done [J].
        chosen_j: energy over the horizon with the move [J].
        servers: servers that serve now, at least 1.
        target: servers wanted.
    """
    if target == servers or hold_j <= 0:
        return 0.0
    return (1 - chosen_j / hold_j) / (abs(target - servers) / servers)
