"""Where the bearer token comes from: given, asked of a function, or got from the mesh for a service account and renewed in time."""

import asyncio
import inspect
import threading
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import httpx

from eil_sdk.errors import EilError, of_http, of_transport

PATH = "/v1/token"
FORM = {"grant_type": "client_credentials"}
RENEW_AT = 0.8
"""Share of a token's life after which it is renewed."""


@dataclass(frozen=True, slots=True)
class ClientCredentials:
    """A service account: `eil account add` prints both. Its tokens are fetched, and renewed before they end (OAuth 2, RFC 6749 §4.4)."""

    id: str
    secret: str = field(repr=False)


Token: TypeAlias = str | Callable[[], str] | ClientCredentials
"""A token; a function that answers one, asked before each call; or a service account."""
AsyncToken: TypeAlias = Token | Callable[[], Awaitable[str]]
"""The same, where the function may be a coroutine function."""


class Held:
    """The token of a service account, as long as it lasts."""

    def __init__(self) -> None:
        self._token, self._renew_at, self._ends = "", 0.0, 0.0

    def fresh(self) -> str:
        """The token, or "" if it is time for another."""
        return self._token if time.monotonic() < self._renew_at else ""

    def settle(self, answer: httpx.Response | httpx.HTTPError) -> str:
        """The token to use now, after another was asked for. While the old one lasts, it bridges an endpoint that is away.

        Raises:
            EilError: there is none.
        """
        try:
            return self._take(answer)
        except EilError as error:
            if error.code == "UNAUTHENTICATED" or time.monotonic() >= self._ends:
                raise
            return self._token

    def forget(self, token: str) -> None:
        """The mesh refused this one."""
        if token == self._token:
            self._renew_at = self._ends = 0.0

    def _take(self, answer: httpx.Response | httpx.HTTPError) -> str:
        if isinstance(answer, httpx.HTTPError):
            raise of_transport(answer, "asking for a token")
        if answer.status_code >= 400:
            raise of_http(answer)
        try:
            given: dict[str, Any] = answer.json()
            self._token, lasts_s = str(given["access_token"]), float(given.get("expires_in", 300))
        except (ValueError, KeyError, TypeError):
            raise EilError(f"{answer.request.url} answered no token: {answer.text[:200]!r}") from None
        self._ends = time.monotonic() + lasts_s
        self._renew_at = self._ends - (1 - RENEW_AT) * lasts_s
        return self._token


class Tokens:
    """The token of each call of a client.

    Args:
        given: where it comes from.
        http: on the mesh's door.
    """

    def __init__(self, given: Token, http: httpx.Client) -> None:
        self._given, self._http, self._held, self._lock = given, http, Held(), threading.Lock()

    def get(self) -> str:
        """The token to send now.

        Raises:
            EilError: the mesh gives the account none.
        """
        given = self._given
        if not isinstance(given, ClientCredentials):
            return given if isinstance(given, str) else given()
        if token := self._held.fresh():
            return token
        with self._lock:
            return self._held.fresh() or self._held.settle(self._ask(given))

    def refused(self, token: str) -> bool:
        """Note that the mesh refused this token; answers whether another may be had."""
        self._held.forget(token)
        return not isinstance(self._given, str)

    def _ask(self, account: ClientCredentials) -> httpx.Response | httpx.HTTPError:
        try:
            return self._http.post(PATH, data=FORM, auth=(account.id, account.secret))
        except httpx.HTTPError as error:
            return error


class AsyncTokens:
    """The same for AsyncEIL."""

    def __init__(self, given: AsyncToken, http: httpx.AsyncClient) -> None:
        self._given, self._http, self._held, self._lock = given, http, Held(), asyncio.Lock()

    async def get(self) -> str:
        """As Tokens.get."""
        given = self._given
        if not isinstance(given, ClientCredentials):
            token = given if isinstance(given, str) else given()
            return await token if inspect.isawaitable(token) else token
        if token := self._held.fresh():
            return token
        async with self._lock:
            return self._held.fresh() or self._held.settle(await self._ask(given))

    def refused(self, token: str) -> bool:
        """As Tokens.refused."""
        self._held.forget(token)
        return not isinstance(self._given, str)

    async def _ask(self, account: ClientCredentials) -> httpx.Response | httpx.HTTPError:
        try:
            return await self._http.post(PATH, data=FORM, auth=(account.id, account.secret))
        except httpx.HTTPError as error:
            return error
