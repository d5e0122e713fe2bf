"""A pool of two tokens: swaps, shares and time-weighted prices, as pure functions from Pool to Pool.

Amounts are integers of 10⁻⁶ token (`_u`). The pool is two liquidity accounts of the ledger; whoever calls these
functions moves exactly the amounts that they return, so that reserves and balances stay equal.
"""

from dataclasses import dataclass, replace
from fractions import Fraction
from math import isqrt
from typing import Final

from eil_market.domain.curve import amount_in_u, amount_out_u, fee_u, k_holds
from eil_market.domain.errors import (
    DeadlineExpired,
    InsufficientLiquidity,
    InvalidAmount,
    SlippageExceeded,
    TradeTooLarge,
    UnknownToken,
    WindowTooShort,
)

MINIMUM_LIQUIDITY: Final = 1000
"""Shares that nobody owns: a pool can never be emptied, nor one share be made too dear to add to."""
MAX_AMOUNT_U: Final = 2**62
PRICE_ONE: Final = 2**64
"""Fixed-point one of the accumulated prices."""


@dataclass(frozen=True, slots=True)
class PoolLimits:
    """`max_trade_ppm`: what one trade may bring in, in millionths of the incoming reserve.

    At the default of 2 % a single trade moves the price by about 4 %. The outgoing share is always the smaller one.
    """

    max_trade_ppm: int = 20_000

    def __post_init__(self) -> None:
        if not 0 < self.max_trade_ppm <= 10**6:
            raise ValueError(f"max_trade_ppm is {self.max_trade_ppm}: choose 1 to 1000000 millionths of the reserve.")


@dataclass(frozen=True, slots=True)
class Pool:
    """Reserves, shares outstanding (locked ones included), and accumulated prices.

    `x_price_sum_q64us` is Σ (reserve_y / reserve_x)·dt in 2⁻⁶⁴ µs, the price of x in y held since the last change;
    `y_price_sum_q64us` is its mirror. Both outgrow 64 bits: store them as text.
    """

    token_x: str
    token_y: str
    reserve_x_u: int = 0
    reserve_y_u: int = 0
    shares: int = 0
    x_price_sum_q64us: int = 0
    y_price_sum_q64us: int = 0
    updated_us: int = 0

    def reserves_for(self, token_in: str) -> tuple[int, int]:
        """(incoming, outgoing) reserves when `token_in` is paid in. Raises UnknownToken."""
        if token_in == self.token_x:
            return self.reserve_x_u, self.reserve_y_u
        if token_in == self.token_y:
            return self.reserve_y_u, self.reserve_x_u
        raise UnknownToken(f"{token_in!r} is not traded here: pay {self.token_x} or {self.token_y}.", "token_in")


@dataclass(frozen=True, slots=True)
class Swap:
    """What a trade moves. `fee_u`, part of `amount_in_u`, stays in the pool."""

    token_in: str
    token_out: str
    amount_in_u: int
    amount_out_u: int
    fee_u: int
    spot_price: Fraction
    """Outgoing per incoming token before the trade, without fee."""

    @property
    def price(self) -> Fraction:
        """Outgoing per incoming token of this trade, fee included; always below the spot price."""
        return Fraction(self.amount_out_u, self.amount_in_u)

    @property
    def price_impact(self) -> float:
        """Share of the spot price lost to fee, depth and rounding, in 0 … 1."""
        return float(1 - self.price / self.spot_price)


@dataclass(frozen=True, slots=True)
class Liquidity:
    """What a provider paid in or received, and the shares issued or returned for it."""

    x_u: int
    y_u: int
    shares: int


def observe(pool: Pool, now_us: int) -> Pool:
    """The pool with its prices accumulated to `now_us` from the reserves that stood since the last change.

    A clock that stepped back accumulates nothing until it has caught up.
    """
    dt_us = max(0, now_us - pool.updated_us)
    x_u, y_u = pool.reserve_x_u, pool.reserve_y_u
    traded = bool(x_u and y_u)
    return replace(
        pool,
        x_price_sum_q64us=pool.x_price_sum_q64us + (y_u * PRICE_ONE // x_u * dt_us if traded else 0),
        y_price_sum_q64us=pool.y_price_sum_q64us + (x_u * PRICE_ONE // y_u * dt_us if traded else 0),
        updated_us=pool.updated_us + dt_us,
    )


def time_weighted_price(earlier: Pool, later: Pool) -> tuple[float, float]:
    """(price of x in y, price of y in x), averaged over the time between two observations of one pool.

    Costly to move, since a false price must be held against everyone for the whole window. Raises WindowTooShort.
    """
    dt_us = later.updated_us - earlier.updated_us
    if dt_us <= 0 or not earlier.shares:
        raise WindowTooShort(
            f"The observations lie {dt_us} µs apart, the first with {earlier.shares} shares: no price stood between "
            "them; wait, and observe again."
        )
    scale = PRICE_ONE * dt_us
    return (
        (later.x_price_sum_q64us - earlier.x_price_sum_q64us) / scale,
        (later.y_price_sum_q64us - earlier.y_price_sum_q64us) / scale,
    )


def swap_exact_in(
    pool: Pool, limits: PoolLimits, token_in: str, paid_in_u: int, min_out_u: int, deadline_us: int, now_us: int
) -> tuple[Pool, Swap]:
    """Sells exactly `paid_in_u` of `token_in` for at least `min_out_u`; dropping the returned pool makes it a quote.

    Raises, first that applies: DeadlineExpired (now > deadline), UnknownToken, InvalidAmount, InsufficientLiquidity
    (empty pool, or too little for one unit out), TradeTooLarge, SlippageExceeded.
    """
    reserve_in_u, reserve_out_u = _open_for_trade(pool, token_in, deadline_us, now_us)
    _require_amount(paid_in_u, "amount_in_u")
    _require_small(paid_in_u, reserve_in_u, limits, token_in)
    out_u = amount_out_u(paid_in_u, reserve_in_u, reserve_out_u)
    if out_u == 0:
        raise InsufficientLiquidity(
            f"{paid_in_u} u of {token_in} buy less than one millionth of a token at this price: sell more.",
            "amount_in_u",
        )
    if out_u < min_out_u:
        raise SlippageExceeded(
            f"The pool now gives {out_u} u, the request asks for at least {min_out_u} u: nothing was traded; take a "
            "new quote or accept less.",
            "min_out_u",
        )
    return _trade(pool, token_in, paid_in_u, out_u, now_us)


def swap_exact_out(
    pool: Pool, limits: PoolLimits, token_in: str, wanted_out_u: int, max_in_u: int, deadline_us: int, now_us: int
) -> tuple[Pool, Swap]:
    """Buys exactly `wanted_out_u` with at most `max_in_u` of `token_in`. Raises as `swap_exact_in` does."""
    reserve_in_u, reserve_out_u = _open_for_trade(pool, token_in, deadline_us, now_us)
    _require_amount(wanted_out_u, "amount_out_u")
    if wanted_out_u >= reserve_out_u:
        raise InsufficientLiquidity(
            f"The pool holds {reserve_out_u} u, {wanted_out_u} u are wanted: a pool never sells its last unit; ask for "
            "less.",
            "amount_out_u",
        )
    in_u = amount_in_u(wanted_out_u, reserve_in_u, reserve_out_u)
    _require_small(in_u, reserve_in_u, limits, token_in)
    if in_u > max_in_u:
        raise SlippageExceeded(
            f"The pool now asks {in_u} u, the request pays at most {max_in_u} u: nothing was traded; take a new quote "
            "or pay more.",
            "max_in_u",
        )
    return _trade(pool, token_in, in_u, wanted_out_u, now_us)


def add_liquidity(
    pool: Pool, max_x_u: int, max_y_u: int, min_shares: int, deadline_us: int, now_us: int
) -> tuple[Pool, Liquidity]:
    """Issues shares for up to the offered amounts.

    First provider: √(x·y) - 1000 shares, everything offered is taken. Later: min(x·S/X, y·S/Y) shares rounded down,
    and only what these shares cost, rounded up, is taken; the rest stays with the provider.
    Raises DeadlineExpired, InvalidAmount, InsufficientLiquidity (no share would result), SlippageExceeded,
    TradeTooLarge (a reserve would pass 2**62).
    """
    _require_deadline(deadline_us, now_us)
    _require_amount(max_x_u, "max_x_u")
    _require_amount(max_y_u, "max_y_u")
    if pool.shares == 0:
        total = isqrt(max_x_u * max_y_u)
        issued, x_u, y_u = total - MINIMUM_LIQUIDITY, max_x_u, max_y_u
    else:
        issued = min(max_x_u * pool.shares // pool.reserve_x_u, max_y_u * pool.shares // pool.reserve_y_u)
        total = pool.shares + issued
        x_u = -(-issued * pool.reserve_x_u // pool.shares)
        y_u = -(-issued * pool.reserve_y_u // pool.shares)
    if issued <= 0:
        raise InsufficientLiquidity(
            f"{max_x_u} u and {max_y_u} u are not worth one share (the first {MINIMUM_LIQUIDITY} are locked): offer "
            "more."
        )
    if issued < min_shares:
        raise SlippageExceeded(
            f"The offer is now worth {issued} shares, at least {min_shares} are asked: nothing was taken; offer more "
            "or ask for fewer.",
            "min_shares",
        )
    if max(pool.reserve_x_u + x_u, pool.reserve_y_u + y_u) > MAX_AMOUNT_U:
        raise TradeTooLarge("A reserve would pass 2**62 u, the most that the ledger can hold: offer less.")
    seen = observe(pool, now_us)
    after = replace(seen, reserve_x_u=pool.reserve_x_u + x_u, reserve_y_u=pool.reserve_y_u + y_u, shares=total)
    return after, Liquidity(x_u, y_u, issued)


def remove_liquidity(
    pool: Pool, shares: int, min_x_u: int, min_y_u: int, deadline_us: int, now_us: int
) -> tuple[Pool, Liquidity]:
    """Returns `shares` for their part of both reserves, rounded down; who owns them is the caller's to check.

    Raises DeadlineExpired, InvalidAmount, InsufficientLiquidity (more than the unlocked shares, or worth nothing),
    SlippageExceeded.
    """
    _require_deadline(deadline_us, now_us)
    _require_amount(shares, "shares")
    unlocked = max(0, pool.shares - MINIMUM_LIQUIDITY)
    if shares > unlocked:
        raise InsufficientLiquidity(
            f"{shares} shares are to be returned, {unlocked} are in private hands: return at most those.", "shares"
        )
    x_u = shares * pool.reserve_x_u // pool.shares
    y_u = shares * pool.reserve_y_u // pool.shares
    if not x_u or not y_u:
        raise InsufficientLiquidity(f"{shares} shares are worth less than one unit of a token: return more.", "shares")
    if x_u < min_x_u or y_u < min_y_u:
        raise SlippageExceeded(
            f"The shares are now worth {x_u} u and {y_u} u, at least {min_x_u} u and {min_y_u} u are asked: nothing "
            "was returned; ask for less.",
            "min_x_u" if x_u < min_x_u else "min_y_u",
        )
    after = replace(
        observe(pool, now_us),
        reserve_x_u=pool.reserve_x_u - x_u,
        reserve_y_u=pool.reserve_y_u - y_u,
        shares=pool.shares - shares,
    )
    return after, Liquidity(x_u, y_u, shares)


def _trade(pool: Pool, token_in: str, in_u: int, out_u: int, now_us: int) -> tuple[Pool, Swap]:
    reserve_in_u, reserve_out_u = pool.reserves_for(token_in)
    if not k_holds(reserve_in_u, reserve_out_u, in_u, out_u):
        raise AssertionError(f"k would fall: {in_u} u for {out_u} u at {reserve_in_u}:{reserve_out_u}")
    if reserve_in_u + in_u > MAX_AMOUNT_U:
        raise TradeTooLarge("The reserve would pass 2**62 u, the most that the ledger can hold: trade less.")
    seen = observe(pool, now_us)
    if token_in == pool.token_x:
        token_out = pool.token_y
        after = replace(seen, reserve_x_u=reserve_in_u + in_u, reserve_y_u=reserve_out_u - out_u)
    else:
        token_out = pool.token_x
        after = replace(seen, reserve_y_u=reserve_in_u + in_u, reserve_x_u=reserve_out_u - out_u)
    return after, Swap(token_in, token_out, in_u, out_u, fee_u(in_u), Fraction(reserve_out_u, reserve_in_u))


def _open_for_trade(pool: Pool, token_in: str, deadline_us: int, now_us: int) -> tuple[int, int]:
    _require_deadline(deadline_us, now_us)
    reserve_in_u, reserve_out_u = pool.reserves_for(token_in)
    if not reserve_in_u or not reserve_out_u:
        raise InsufficientLiquidity("The pool holds nothing yet: provide liquidity before trading.")
    return reserve_in_u, reserve_out_u


def _require_deadline(deadline_us: int, now_us: int) -> None:
    if now_us > deadline_us:
        raise DeadlineExpired(
            f"The deadline passed {now_us - deadline_us} µs ago, so its price may be stale: take a new quote.",
            "deadline_us",
        )


def _require_amount(amount: int, field: str) -> None:
    if not isinstance(amount, int) or isinstance(amount, bool) or not 0 < amount <= MAX_AMOUNT_U:
        raise InvalidAmount(f"{field} is {amount!r}: send an integer from 1 to 2**62.", field)


def _require_small(in_u: int, reserve_in_u: int, limits: PoolLimits, token_in: str) -> None:
    if in_u * 10**6 > limits.max_trade_ppm * reserve_in_u:
        raise TradeTooLarge(
            f"{in_u} u of {token_in} are more than {limits.max_trade_ppm} millionths of the pool's {reserve_in_u} u: "
            "such a trade would move the price too far; trade less, or wait for liquidity.",
            "amount_in_u",
        )
