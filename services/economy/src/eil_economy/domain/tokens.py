"""Amounts, tokens and names: what may enter the ledger at all."""

from typing import Final

from eil_economy.domain.errors import (
    AmountNotPositive,
    AmountTooLarge,
    InvalidAmount,
    InvalidName,
    InvalidTimeout,
    UnknownToken,
)

CEU: Final = "CEU"
"""Compute credit: 1000 inference steps."""
PFT: Final = "PFT"
"""Proof token: minted by valid proofs."""
MUNT: Final = "MUNT"
"""Model licence."""
TOKENS: Final = (CEU, PFT, MUNT)

U_PER_TOKEN: Final = 10**6
"""Balances are integers of 10⁻⁶ token (suffix `_u`)."""
MAX_AMOUNT_U: Final = 2**62
"""Bound of one amount and of a token's lifetime issue in a tenant, so that no sum of balances leaves 64 bits."""
MAX_TIMEOUT_US: Final = 400 * 86_400 * 10**6
"""A reservation waits at most 400 days: a year of measurement and its lateness."""

EVERYBODY: Final = "*"
"""In place of a principal: all of the tenant whose budget has no policy of its own."""
OWN_PREFIX: Final = "@"
"""Names that begin so belong to the ledger: clients cannot take its accounts or foresee its transfer ids."""
ISSUANCE: Final = "@issuance"
"""Counter-account of mints and burns; its balance is minus the circulating supply."""
METERING: Final = "@metering"
"""Receives the compute credits that leases used up."""
TREASURY: Final = "@treasury"
"""The tenant's own account, from which leases are drawn."""
OWN_ACCOUNTS: Final = frozenset({ISSUANCE, METERING, TREASURY})
BUDGET_PREFIX: Final = "@budget/"
"""Accounts of principals' budgets, e.g. `@budget/ada`: they hold CEU alone, and pay leases alone."""
POOL_PREFIX: Final = "@pool/"
"""Accounts of the market's pools, e.g. `@pool/CEU-PFT`: only linked transfers may name them, so that both sides of an
exchange move or none does."""

MAX_NAME_CHARS: Final = 128
MAX_PRINCIPAL_CHARS: Final = 100
MAX_ID_CHARS: Final = 160
"""Ids are a client's name and the prefix that says whose name it is."""
MAX_TEXT_CHARS: Final = 256


def require_amount(amount_u: object, field: str = "amount_u") -> int:
    """The amount, if it is an integer in 1 … 2**62. Raises InvalidAmount, AmountNotPositive, AmountTooLarge."""
    if not isinstance(amount_u, int) or isinstance(amount_u, bool):
        raise InvalidAmount(
            f"{field} is a {type(amount_u).__name__}: the ledger counts whole millionths of a token; send an integer.",
            field,
        )
    if amount_u <= 0:
        raise AmountNotPositive(f"{field} is {amount_u}: nothing would move; send at least 1 (10⁻⁶ token).", field)
    if amount_u > MAX_AMOUNT_U:
        raise AmountTooLarge(f"{field} is {amount_u}: the ledger's limit is 2**62; split the transfer.", field)
    return amount_u


def require_token(token: str) -> str:
    """The token, if the ledger keeps it. Raises UnknownToken."""
    if token not in TOKENS:
        raise UnknownToken(f"Token {token!r} is not kept here: use one of {', '.join(TOKENS)}.", "token")
    return token


def require_id(transfer_id: str) -> str:
    """A client's transfer id of 1 … 160 characters. Raises InvalidName."""
    return require_name(transfer_id, "transfer_id", longest=MAX_ID_CHARS)


def require_account(owner: str, field: str, *, linked: bool = False) -> str:
    """The owner of an account: anyone, the ledger itself, a budget, and in linked transfers a pool. Raises InvalidName."""
    if owner.startswith(BUDGET_PREFIX):
        require_principal(owner.removeprefix(BUDGET_PREFIX), field)
        return owner
    pool = linked and owner.startswith(POOL_PREFIX) and owner != POOL_PREFIX
    return require_name(owner, field, OWN_ACCOUNTS | {owner} if pool else OWN_ACCOUNTS)


def require_principal(principal: str, field: str = "principal") -> str:
    """Whose budget: a name of 1 … 100 characters other than `*`, which stands for all. Raises InvalidName."""
    if principal == EVERYBODY:
        raise InvalidName(f"{field} names no principal: {EVERYBODY!r} is everybody, and holds nothing.", field)
    if not principal or len(principal) > MAX_PRINCIPAL_CHARS:
        raise InvalidName(
            f"{field} names a principal of {len(principal)} characters: give it 1 to {MAX_PRINCIPAL_CHARS}.", field
        )
    _require_printable(principal, field)
    return principal


def require_name(name: str, field: str, own: frozenset[str] = frozenset(), *, longest: int = MAX_NAME_CHARS) -> str:
    """A name of 1 … `longest` characters; names of the ledger's own (`@…`) only if in `own`. Raises InvalidName."""
    if not name or len(name) > longest:
        raise InvalidName(f"{field} has {len(name)} characters: give it 1 to {longest}.", field)
    _require_printable(name, field)
    if name.startswith(OWN_PREFIX) and name not in own:
        raise InvalidName(
            f"{field} {name!r} begins with '@', which marks the ledger's own names: choose another.", field
        )
    return name


def require_text(text: str, field: str, *, empty: bool = False) -> str:
    """A recorded text of at most 256 characters. Raises InvalidName."""
    if (not text and not empty) or len(text) > MAX_TEXT_CHARS:
        raise InvalidName(
            f"{field} has {len(text)} characters: it is kept for the auditor; give it {0 if empty else 1} to "
            f"{MAX_TEXT_CHARS}.",
            field,
        )
    _require_printable(text, field)
    return text


def _require_printable(text: str, field: str) -> None:
    if "\0" in text:
        raise InvalidName(f"{field} holds the character NUL, which not every database keeps: leave it out.", field)


def require_timeout(timeout_us: int) -> int:
    """A reservation's life in 1 µs … 400 days. Raises InvalidTimeout."""
    if not 0 < timeout_us <= MAX_TIMEOUT_US:
        raise InvalidTimeout(
            f"timeout_us is {timeout_us}: a reservation must end by itself; choose 1 to {MAX_TIMEOUT_US} µs.",
            "timeout_us",
        )
    return timeout_us


def format_amount(amount_u: int, token: str) -> str:
    """The amount in whole tokens with six decimals, exactly."""
    sign = "-" if amount_u < 0 else ""
    whole, rest = divmod(abs(amount_u), U_PER_TOKEN)
    return f"{sign}{whole}.{rest:06d} {token}"
