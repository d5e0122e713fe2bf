"""Where the savings bonus will be wired: a reservation at the commitment, posted for the proven lower bound or given back.

The seam and nothing more: until economy's two-phase transfers are wired in `main.build` no bonus is reserved. An implementation must
be idempotent by verification id, since calls may be repeated after a crash, and must not raise when the ledger cannot be reached:
what is owed stays owed and is tried again, as `Minter` does with rewards. The process may die between storing a record and the call
here: the wiring must walk stored verifications that are not paid yet, as `Minter.book_owed` does.
"""

from typing import Protocol


class Bonus(Protocol):
    """The bonus of a verification, by its id, for the tenant that the current call stands for."""

    async def reserve(self, verification_id: str, owner: str) -> None:
        """A verification was committed by `owner` and its baseline can decide."""
        ...

    async def post(self, verification_id: str, creditable_j: float) -> None:
        """It is proven: `creditable_j` > 0 is the lower end of its interval [J]."""
        ...

    async def void(self, verification_id: str) -> None:
        """It will not be proven, or it is disputed. After `post` this must claim back or mark what was paid, by economy's own rules."""
        ...


class NoBonus:
    """Pays nothing."""

    async def reserve(self, verification_id: str, owner: str) -> None:
        return

    async def post(self, verification_id: str, creditable_j: float) -> None:
        return

    async def void(self, verification_id: str) -> None:
        return
