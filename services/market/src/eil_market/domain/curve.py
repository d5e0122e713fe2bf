"""The constant-product curve in integers; every rounding favours the pool.

Formulas as in Uniswap v2 (UniswapV2Library.getAmountOut / getAmountIn, UniswapV2Pair.swap); the fee is 3/1000 of what
comes in and stays in the pool.
"""

from typing import Final

FEE_PER_MILLE: Final = 3
_KEPT: Final = 1000 - FEE_PER_MILLE


def amount_out_u(amount_in_u: int, reserve_in_u: int, reserve_out_u: int) -> int:
    """⌊a·997·y / (1000·x + 997·a)⌋: the most that may leave for `amount_in_u`; below `reserve_out_u`, possibly 0."""
    kept = amount_in_u * _KEPT
    return kept * reserve_out_u // (1000 * reserve_in_u + kept)


def amount_in_u(wanted_out_u: int, reserve_in_u: int, reserve_out_u: int) -> int:
    """⌊1000·x·b / (997·(y − b))⌋ + 1: enough for `wanted_out_u`, which must be below `reserve_out_u`."""
    return 1000 * reserve_in_u * wanted_out_u // (_KEPT * (reserve_out_u - wanted_out_u)) + 1


def fee_u(amount_u: int) -> int:
    """The part of an incoming amount that is not traded but left to the pool, rounded up."""
    return amount_u - amount_u * _KEPT // 1000


def k_holds(reserve_in_u: int, reserve_out_u: int, paid_in_u: int, paid_out_u: int) -> bool:
    """Whether the product, with the fee taken off the incoming side, did not fall by this trade."""
    after = (1000 * (reserve_in_u + paid_in_u) - FEE_PER_MILLE * paid_in_u) * 1000 * (reserve_out_u - paid_out_u)
    return after >= 1000**2 * reserve_in_u * reserve_out_u
