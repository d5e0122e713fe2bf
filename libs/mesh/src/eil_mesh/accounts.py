"""Service accounts: names and secrets with which machines fetch short-lived tokens (OAuth 2 client credentials).

They stand in `accounts.json` beside the signing key, secrets as SHA-256 digests: a secret has 256 random bits, which nobody guesses from a
quick hash. The file is written by `eil account` and read by the bridge.
"""

import hashlib
import hmac
import secrets
from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from eil_mesh.errors import AlreadyExists, FailedPrecondition, InvalidArgument, NotFound
from eil_mesh.issuers import ROLES, problems

FILE = "accounts.json"
NOBODYS = hashlib.sha256(secrets.token_bytes(32)).hexdigest()
"""Compared with where the account does not exist, so that an answer takes as long as for one that does."""


class Account(BaseModel):
    """One account. Its name is its client id, and the subject of its tokens."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,62}$")
    roles: tuple[str, ...] = Field(min_length=1)
    tenant: str = Field(min_length=1)
    digest: str
    """SHA-256 of its secret, in hexadecimal digits."""

    @field_validator("roles")
    @classmethod
    def _known(cls, roles: tuple[str, ...]) -> tuple[str, ...]:
        if unknown := sorted(set(roles) - set(ROLES)):
            raise ValueError(f"{', '.join(unknown)}: no role; there are {', '.join(ROLES)}")
        return roles


class _File(BaseModel):
    accounts: list[Account]


class Accounts:
    """The accounts of one file's text.

    Args:
        accounts: by name.
    """

    def __init__(self, accounts: Mapping[str, Account] | None = None) -> None:
        self._accounts = dict(accounts or {})

    @classmethod
    def read(cls, folder: Path) -> "Accounts":
        """The accounts that a folder of keys holds; none without the file.

        Raises:
            FailedPrecondition: the file is damaged.
        """
        try:
            listed = _File.model_validate_json((folder / FILE).read_text()).accounts
        except FileNotFoundError:
            return cls()
        except ValidationError as error:
            raise FailedPrecondition(f"{folder / FILE} is damaged ({problems(error)}); restore or remove it") from None
        return cls({account.name: account for account in listed})

    def text(self) -> str:
        """What the file holds; it is for its owner's eyes alone."""
        return _File(accounts=list(self._accounts.values())).model_dump_json(indent=2) + "\n"

    def all(self) -> list[Account]:
        """Every account, by name."""
        return sorted(self._accounts.values(), key=lambda account: account.name)

    def add(self, name: str, roles: tuple[str, ...], tenant: str) -> str:
        """A new account; returns its secret, which is nowhere else.

        Raises:
            InvalidArgument: the name or a role is none.
            AlreadyExists: there is one by that name.
        """
        if name in self._accounts:
            raise AlreadyExists(
                f"there is an account {name} already; give it a new secret with `eil account rotate {name}`"
            )
        secret = secrets.token_urlsafe(32)
        try:
            self._accounts[name] = Account(name=name, roles=roles, tenant=tenant, digest=_digest(secret))
        except ValidationError as error:
            raise InvalidArgument(problems(error)) from None
        return secret

    def rotate(self, name: str) -> str:
        """A new secret for an account; the one before opens nothing any more.

        Raises:
            NotFound: there is none by that name.
        """
        secret = secrets.token_urlsafe(32)
        self._accounts[name] = self._named(name).model_copy(update={"digest": _digest(secret)})
        return secret

    def remove(self, name: str) -> None:
        """Remove an account. Tokens that it holds live to their end.

        Raises:
            NotFound: there is none by that name.
        """
        self._named(name)
        del self._accounts[name]

    def known(self, name: str, secret: str) -> Account | None:
        """The account, if this is its secret."""
        account = self._accounts.get(name)
        right = hmac.compare_digest(account.digest if account else NOBODYS, _digest(secret))
        return account if right else None

    def _named(self, name: str) -> Account:
        if name not in self._accounts:
            raise NotFound(f"there is no account {name}; see `eil account list`")
        return self._accounts[name]


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
