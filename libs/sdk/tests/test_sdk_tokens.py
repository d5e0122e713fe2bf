"""Tokens of a service account: asked of the mesh, renewed before they end, held while the mesh cannot be asked."""

import asyncio
import base64
import json
from urllib.parse import parse_qs

import pytest
from eil_sdk import ClientCredentials, EilError, Unauthenticated, tokens
from eil_sdk.door import Door
from eil_sdk.tokens import AsyncTokens, Tokens
from httpx import AsyncClient, Client

ACCOUNT = ClientCredentials("prometheus", "s3cret")


class Clock:
    now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch):
    made = Clock()
    monkeypatch.setattr(tokens, "time", made)
    return made


class Endpoint:
    """POST /v1/token."""

    def __init__(self) -> None:
        self.asked: list[dict[str, list[str]]] = []
        self.status, self.lasts_s = 200, 900.0

    def __call__(self, request) -> None:
        form = parse_qs(request.rfile.read(int(request.headers["content-length"])).decode())
        account = base64.b64decode(request.headers["authorization"].removeprefix("Basic ")).decode()
        self.asked.append({**form, "path": [request.path], "account": [account]})
        if self.status == 200:
            answer = {"access_token": f"token-{len(self.asked)}", "token_type": "Bearer", "expires_in": self.lasts_s}
        else:
            answer = {"error": "invalid_client", "error_description": "no such account, or another secret"}
        body = json.dumps(answer).encode()
        request.send_response(self.status)
        request.send_header("content-length", str(len(body)))
        request.end_headers()
        request.wfile.write(body)


@pytest.fixture(params=["sync", "async"])
def get(request):
    """Tokens of a URL, one after the other as `get()` answers them; `refused()` as that of the class."""

    class Getting:
        def __init__(self, url: str) -> None:
            how = Door(url).http()
            if request.param == "sync":
                self.made = made = Tokens(ACCOUNT, Client(**how))
                self.get = made.get
            else:
                runner = asyncio.Runner()
                self.made = others = AsyncTokens(ACCOUNT, AsyncClient(**how))
                self.get = lambda: runner.run(others.get())

        def __call__(self) -> str:
            return self.get()

        def refused(self, token: str) -> bool:
            return self.made.refused(token)

    return Getting


def test_a_token_is_asked_for_once_and_renewed_before_it_ends(http, get, clock):
    endpoint = Endpoint()
    token = get(http(endpoint))
    assert [token(), token()] == ["token-1", "token-1"]
    assert endpoint.asked == [
        {"grant_type": ["client_credentials"], "path": ["/v1/token"], "account": ["prometheus:s3cret"]}
    ]
    clock.now += 0.79 * 900
    assert token() == "token-1"
    clock.now += 0.02 * 900
    assert [token(), token()] == ["token-2", "token-2"]


def test_a_token_that_lasts_bridges_an_endpoint_that_is_away(http, get, clock):
    endpoint = Endpoint()
    token = get(http(endpoint))
    token()
    endpoint.status = 503
    clock.now += 0.9 * 900
    assert token() == "token-1"
    clock.now += 0.11 * 900
    with pytest.raises(EilError) as caught:
        token()
    assert caught.value.code == "UNAVAILABLE"


def test_an_account_that_was_removed_is_out_at_once(http, get, clock):
    endpoint = Endpoint()
    token = get(http(endpoint))
    token()
    endpoint.status = 401
    clock.now += 0.9 * 900
    with pytest.raises(Unauthenticated, match="no such account, or another secret"):
        token()


def test_a_refused_token_is_not_used_again(http, get, clock):
    token = get(http(Endpoint()))
    assert token.refused(token())
    assert token() == "token-2"
    assert token.refused("token-1"), "somebody else's old one"
    assert token() == "token-2"


def test_a_mesh_that_cannot_be_reached_is_said_to_be(get):
    with pytest.raises(EilError, match="asking for a token failed"):
        get("http://127.0.0.1:1")()


def test_secrets_are_not_shown():
    assert "s3cret" not in repr(ACCOUNT)
