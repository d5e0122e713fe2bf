"""Tokens for service accounts: who gets one, what it says, and in which words the others are refused."""

import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from eil_bridge.token_endpoint import LIFE_S, Tokens
from eil_mesh.accounts import Accounts
from eil_mesh.identity import TokenVerifier
from eil_mesh.signing import public_jwk
from starlette.applications import Starlette
from starlette.routing import Route

NOW_S = 1_800_000_000.0
GRANT = {"grant_type": "client_credentials"}


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (tmp_path / "signing.pem").write_bytes(pem)
    (tmp_path / "jwks.json").write_text(json.dumps({"keys": [public_jwk(pem)]}))
    return tmp_path


@pytest.fixture
def secret(keys: Path) -> str:
    accounts = Accounts()
    secret = accounts.add("meter-7", ("agent", "viewer"), "acme")
    (keys / "accounts.json").write_text(accounts.text())
    return secret


@pytest.fixture
async def ask(keys: Path) -> Any:
    """POST a form; returns the answer."""
    app = Starlette(routes=[Route("/v1/token", Tokens(keys, lambda: NOW_S).answer, methods=["POST"])])
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://door") as client:

        async def post(form: Any, **options: Any) -> httpx.Response:
            return await client.post("/v1/token", data=form, **options)

        yield post


def refused(answer: httpx.Response, status: int, oauth: str, reason: str) -> None:
    assert answer.status_code == status, answer.text
    said = answer.json()
    assert said["error"] == oauth
    assert said["error_description"] == said["message"]
    assert said["details"][0]["reason"] == reason
    assert answer.headers["cache-control"] == "no-store"
    assert "access_token" not in said


@pytest.mark.parametrize("how", ["header", "body"])
async def test_an_account_gets_a_token_that_the_mesh_takes(keys: Path, secret: str, ask: Any, how: str):
    if how == "header":
        answer = await ask(GRANT, auth=("meter-7", secret))
    else:
        answer = await ask({**GRANT, "client_id": "meter-7", "client_secret": secret})
    assert answer.status_code == 200, answer.text
    said = answer.json()
    assert (said["token_type"], said["expires_in"], said["scope"]) == ("Bearer", LIFE_S, "agent viewer")
    assert answer.headers["cache-control"] == "no-store"
    verifier = TokenVerifier(keys / "jwks.json", "eil", "eil", now_s=lambda: NOW_S + LIFE_S - 1)
    principal = verifier.verify(said["access_token"])
    assert (principal.subject, principal.tenant, principal.roles) == ("meter-7", "acme", {"agent", "viewer"})


async def test_a_scope_narrows_and_never_widens(secret: str, ask: Any):
    narrowed = await ask({**GRANT, "scope": "viewer"}, auth=("meter-7", secret))
    assert narrowed.json()["scope"] == "viewer"
    for scope in ("admin", "agent admin"):
        refused(
            await ask({**GRANT, "scope": scope}, auth=("meter-7", secret)), 400, "invalid_scope", "SCOPE_NOT_ALLOWED"
        )


async def test_whoever_is_not_known_is_refused_alike(secret: str, ask: Any):
    for auth in (("meter-7", secret[:-1] + "_"), ("meter-7", ""), ("meter-8", secret), ("", "")):
        answer = await ask(GRANT, auth=auth)
        refused(answer, 401, "invalid_client", "CLIENT_UNKNOWN")
        assert answer.headers["www-authenticate"].startswith("Basic")
    for header in ("Bearer abc", "Basic !!!", "Basic bm9jb2xvbg==", "Basic /w=="):
        refused(await ask(GRANT, headers={"authorization": header}), 401, "invalid_client", "CLIENT_UNKNOWN")


async def test_a_request_that_is_none_is_refused(secret: str, ask: Any):
    auth = ("meter-7", secret)
    refused(await ask({}, auth=auth), 400, "invalid_request", "INVALID_ARGUMENT")  # no form at all
    refused(await ask({"grant_type": "password"}, auth=auth), 400, "unsupported_grant_type", "GRANT_UNSUPPORTED")
    form = {"content-type": "application/x-www-form-urlencoded"}
    twice = await ask(None, content=b"grant_type=client_credentials&grant_type=x", headers=form, auth=auth)
    refused(twice, 400, "invalid_request", "INVALID_ARGUMENT")
    both = await ask({**GRANT, "client_id": "meter-7"}, auth=auth)
    refused(both, 400, "invalid_request", "INVALID_ARGUMENT")
    many = await ask(None, content=b"&".join([b"a=1"] * 50), headers=form, auth=auth)
    refused(many, 400, "invalid_request", "INVALID_ARGUMENT")
    sent = await ask(None, content=b"{}", headers={"content-type": "application/json"}, auth=auth)
    refused(sent, 400, "invalid_request", "INVALID_ARGUMENT")
    broken = await ask(None, content=b"\xff\xfe=1", headers=form, auth=auth)
    refused(broken, 400, "invalid_request", "INVALID_ARGUMENT")


async def test_a_new_secret_ends_the_old_one_and_a_removed_account_is_gone(keys: Path, secret: str, ask: Any):
    accounts = Accounts.read(keys)
    new = accounts.rotate("meter-7")
    (keys / "accounts.json").write_text(accounts.text())
    assert (await ask(GRANT, auth=("meter-7", new))).status_code == 200
    refused(await ask(GRANT, auth=("meter-7", secret)), 401, "invalid_client", "CLIENT_UNKNOWN")
    accounts.remove("meter-7")
    (keys / "accounts.json").write_text(accounts.text())
    refused(await ask(GRANT, auth=("meter-7", new)), 401, "invalid_client", "CLIENT_UNKNOWN")


async def test_where_nothing_signs_it_says_where_tokens_come_from(keys: Path, secret: str, ask: Any):
    (keys / "signing.pem").unlink()
    answer = await ask(GRANT, auth=("meter-7", secret))
    refused(answer, 501, "server_error", "NO_TOKENS_HERE")
    assert "OpenID" in answer.json()["message"]


def test_the_file_holds_no_secret(keys: Path, secret: str):
    assert secret not in (keys / "accounts.json").read_text()
