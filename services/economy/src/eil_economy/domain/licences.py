"""Licences of models. One MUNT stands for each: it lies with the holder, bound by a burn that is reserved for the end of its term.

What is reserved cannot be spent, so the book itself says who may use a model, and until when: the licence ends when its MUNT burns.
"""

from dataclasses import dataclass
from typing import Final

from eil_economy.domain.book import all_or_nothing
from eil_economy.domain.database import Database
from eil_economy.domain.errors import (
    DifferentTransfer,
    InvalidTerms,
    LicenceExpired,
    LicenceNotFound,
    LicenceUsedUp,
)
from eil_economy.domain.holds import hold
from eil_economy.domain.ledger import mint, post_now
from eil_economy.domain.policies import LICENCE
from eil_economy.domain.records import Instruction
from eil_economy.domain.tokens import (
    CEU,
    MAX_AMOUNT_U,
    MAX_TIMEOUT_US,
    TREASURY,
    require_id,
    require_name,
    require_text,
)

_COLUMNS: Final = "licence_id, model, holder, steps, period_us, price_u, starts_us, expires_us"


@dataclass(frozen=True, slots=True)
class Terms:
    """What is licensed: `steps` inference steps in every `period_us` from the start on (0: as many as wanted), for `life_us`, at
    `price_u` (10⁻⁶ CEU, paid once by the holder to the treasury)."""

    model: str
    holder: str
    steps: int
    period_us: int
    life_us: int
    price_u: int


@dataclass(frozen=True, slots=True)
class Licence:
    """A licence as it was issued."""

    licence_id: str
    model: str
    holder: str
    steps: int
    period_us: int
    price_u: int
    starts_us: int
    expires_us: int

    @property
    def terms(self) -> Terms:
        """What was agreed."""
        life_us = self.expires_us - self.starts_us
        return Terms(self.model, self.holder, self.steps, self.period_us, life_us, self.price_u)


def issue(conn: Database, tenant: str, licence_id: str, terms: Terms, now_us: int) -> tuple[Licence, bool]:
    """The holder pays, receives one MUNT, and the MUNT's burn is reserved for the end of the term: all or nothing.

    The same id and terms again answer the licence as it stands, with True. Raises InvalidName, InvalidTerms, DifferentTransfer, and what
    paying raises (AccountNotFound, Overdraft).
    """
    require_id(licence_id)
    _require_terms(terms)
    known = find_licence(conn, tenant, licence_id)
    if known is not None:
        _require_same(known, terms)
        return known, True
    with all_or_nothing(conn):
        minted = mint(
            conn,
            tenant,
            licence_id,
            terms.holder,
            LICENCE.token,
            LICENCE.amount_u,
            "licence",
            now_us,
            LICENCE.reference,
        )
        if minted.replayed:
            raise DifferentTransfer(f"id {licence_id!r} names a transfer: choose another for the licence.", "id")
        if terms.price_u:
            price = Instruction(
                f"@price/{licence_id}", terms.holder, TREASURY, CEU, terms.price_u, "licence", terms.model
            )
            post_now(conn, tenant, price, now_us)
        burn = Instruction.burning(
            _term_id(licence_id), terms.holder, LICENCE.token, LICENCE.amount_u, "licence term", terms.model
        )
        hold(conn, tenant, burn, terms.life_us, now_us)
        licence = Licence(
            *(licence_id, terms.model, terms.holder, terms.steps, terms.period_us, terms.price_u),
            *(now_us, now_us + terms.life_us),
        )
        conn.execute(
            f"INSERT INTO licence (tenant, {_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (tenant, licence_id, *_row(licence)[1:]),
        )
    return licence, False


def check(conn: Database, tenant: str, model: str, holder: str, steps: int, now_us: int) -> tuple[Licence, int]:
    """A licence by which the holder may do `steps` more steps with the model now, counted as used; and what is left of its period
    (0 steps agreed: -1, no limit). With 0 `steps` nothing is counted.

    Raises LicenceNotFound, LicenceExpired, LicenceUsedUp.
    """
    if not 0 <= steps <= MAX_AMOUNT_U:
        raise InvalidTerms(f"steps is {steps}: send 0 to 2**62.", "steps")
    held = [licence for licence in licences(conn, tenant, holder) if licence.model == model]
    if not held:
        raise LicenceNotFound(f"{holder!r} has no licence of model {model!r}: have one issued.", "model")
    active = [licence for licence in held if now_us < licence.expires_us and _bound(conn, tenant, licence)]
    if not active:
        newest = max(licence.expires_us for licence in held)
        raise LicenceExpired(
            f"the last licence of {holder!r} of model {model!r} ran out {max(0, now_us - newest)} µs ago: renew it.",
            "model",
        )
    for licence in active:
        left = _left(conn, tenant, licence, now_us)
        if left is None:
            return licence, -1
        if steps <= left and (steps or left):
            if steps:
                _use(conn, tenant, licence, steps, now_us)
            return licence, left - steps
    next_us = min(licence.period_us - (now_us - licence.starts_us) % licence.period_us for licence in active)
    raise LicenceUsedUp(
        f"{steps} steps are asked, and no licence of {holder!r} of model {model!r} has so many left: the next period begins in "
        f"{next_us} µs.",
        "steps",
    )


def licences(conn: Database, tenant: str, holder: str | None = None) -> tuple[Licence, ...]:
    """The tenant's licences, or one holder's, those that last longest first; those that ran out are among them."""
    where, values = ("", (tenant,)) if holder is None else (" AND holder = ?", (tenant, holder))
    rows = conn.execute(
        f"SELECT {_COLUMNS} FROM licence WHERE tenant = ?{where} ORDER BY expires_us DESC, licence_id", values
    ).fetchall()
    return tuple(Licence(*row) for row in rows)


def find_licence(conn: Database, tenant: str, licence_id: str) -> Licence | None:
    """The tenant's licence with this id, if there is one."""
    row = conn.execute(
        f"SELECT {_COLUMNS} FROM licence WHERE tenant = ? AND licence_id = ?", (tenant, licence_id)
    ).fetchone()
    return None if row is None else Licence(*row)


def _require_terms(terms: Terms) -> None:
    require_text(terms.model, "model")
    require_name(terms.holder, "holder")
    if not 0 < terms.life_us <= MAX_TIMEOUT_US:
        raise InvalidTerms(f"the licence lasts {terms.life_us} µs: choose 1 µs to 400 days.", "life_s")
    if not 0 < terms.period_us <= terms.life_us:
        raise InvalidTerms(f"its period is {terms.period_us} µs: choose 1 µs to the licence's life.", "period_s")
    for name, value in (("steps", terms.steps), ("price_u", terms.price_u)):
        if not 0 <= value <= MAX_AMOUNT_U:
            raise InvalidTerms(f"{name} is {value}: choose 0 to 2**62.", name)


def _require_same(known: Licence, terms: Terms) -> None:
    for name in ("model", "holder", "steps", "period_us", "life_us", "price_u"):
        before, now = getattr(known.terms, name), getattr(terms, name)
        if before != now:
            raise DifferentTransfer(
                f"Licence {known.licence_id!r} exists with {name} {before!r}, not {now!r}: use a new id.",
                name.removesuffix("_us") + "_s" if name.endswith("_us") else name,
            )


def _row(licence: Licence) -> tuple[str | int, ...]:
    return tuple(getattr(licence, name) for name in _COLUMNS.split(", "))


def _term_id(licence_id: str) -> str:
    return f"@term/{licence_id}"


def _bound(conn: Database, tenant: str, licence: Licence) -> bool:
    """Its MUNT still waits for the end of the term."""
    key = (tenant, _term_id(licence.licence_id))
    return conn.execute("SELECT 1 FROM hold WHERE tenant = ? AND transfer_id = ?", key).fetchone() is not None


def _left(conn: Database, tenant: str, licence: Licence, now_us: int) -> int | None:
    """Steps left in the period that is now; None: no limit."""
    if not licence.steps:
        return None
    row = conn.execute(
        "SELECT used FROM licence_use WHERE tenant = ? AND licence_id = ? AND period = ?",
        (tenant, licence.licence_id, _period(licence, now_us)),
    ).fetchone()
    return licence.steps - (row[0] if row else 0)


def _use(conn: Database, tenant: str, licence: Licence, steps: int, now_us: int) -> None:
    conn.execute(
        "INSERT INTO licence_use (tenant, licence_id, period, used) VALUES (?, ?, ?, ?) "
        "ON CONFLICT (tenant, licence_id, period) DO UPDATE SET used = licence_use.used + excluded.used",
        (tenant, licence.licence_id, _period(licence, now_us), steps),
    )


def _period(licence: Licence, now_us: int) -> int:
    return max(0, now_us - licence.starts_us) // licence.period_us
