"""Tokens: which are taken, which are refused and why, and how long a verified one is remembered."""

import base64
import hashlib
import hmac
import json

import grpc
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from eil.regime.v1 import regime_pb2
from eil_mesh import server
from eil_mesh.clock import MICROSECONDS, ManualClock
from eil_mesh.errors import Unauthenticated
from eil_mesh.identity import LEEWAY_S, TokenVerifier
from eil_mesh.testing import metadata
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

NOW_S = 1_800_000_000
KEYS = {name: rsa.generate_private_key(public_exponent=65537, key_size=2048) for name in ("one", "two")}
CLAIMS = {"iss": "eil", "aud": "eil", "sub": "ada", "tenant": "acme", "roles": ["viewer"], "exp": NOW_S + 60}


def jwk(name):
    return {**RSAAlgorithm.to_jwk(KEYS[name].public_key(), as_dict=True), "kid": name}


def token(key="one", without=(), **claims):
    claims = {name: value for name, value in {**CLAIMS, **claims}.items() if name not in without}
    return jwt.encode(claims, KEYS[key], algorithm="RS256", headers={"kid": key})


def by_hand(header, signature=lambda signed: b"", claims=CLAIMS):
    """A token as an attacker writes it, past what libraries refuse to make."""

    def part(raw):
        return base64.urlsafe_b64encode(raw).rstrip(b"=")

    signed = part(json.dumps(header).encode()) + b"." + part(json.dumps(claims).encode())
    return (signed + b"." + part(signature(signed))).decode()


def with_public_key_as_secret():
    secret = KEYS["one"].public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return by_hand({"alg": "HS256", "kid": "one"}, lambda signed: hmac.digest(secret, signed, hashlib.sha256))


def altered():
    head, body, signature = token().split(".")
    forged = by_hand({}, claims={**CLAIMS, "roles": ["admin"]}).split(".")[1]
    assert forged != body
    return ".".join([head, forged, signature])


REFUSED = {
    "expired": (lambda: token(exp=NOW_S - LEEWAY_S - 1), "TOKEN_EXPIRED"),
    "another issuer": (lambda: token(iss="mallory"), "TOKEN_INVALID"),
    "another audience": (lambda: token(aud="shop"), "TOKEN_INVALID"),
    "no issuer": (lambda: token(without=["iss"]), "TOKEN_INVALID"),
    "an issuer that is no name": (
        lambda: by_hand({"alg": "RS256", "kid": "one"}, claims={**CLAIMS, "iss": ["eil"]}),
        "TOKEN_INVALID",
    ),
    "no audience": (lambda: token(without=["aud"]), "TOKEN_INVALID"),
    "no expiry": (lambda: token(without=["exp"]), "TOKEN_INVALID"),
    "no subject": (lambda: token(without=["sub"]), "TOKEN_INVALID"),
    "not yet valid": (lambda: token(nbf=NOW_S + 3600), "TOKEN_INVALID"),
    "no algorithm": (lambda: by_hand({"alg": "none", "kid": "one"}), "TOKEN_INVALID"),
    "public key as a secret": (with_public_key_as_secret, "TOKEN_INVALID"),
    "unknown key": (lambda: token("two"), "TOKEN_INVALID"),
    "another key under a known name": (
        lambda: jwt.encode(CLAIMS, KEYS["two"], algorithm="RS256", headers={"kid": "one"}),
        "TOKEN_INVALID",
    ),
    "altered claims": (altered, "TOKEN_INVALID"),
    "no key named": (lambda: jwt.encode(CLAIMS, KEYS["one"], algorithm="RS256"), "TOKEN_INVALID"),
    "key named by a list": (lambda: by_hand({"alg": "RS256", "kid": ["one"]}), "TOKEN_INVALID"),
    "no token at all": (lambda: "not.a.token", "TOKEN_INVALID"),
    "expiry in words": (lambda: token(exp="tomorrow"), "TOKEN_INVALID"),
    "one role instead of a list": (lambda: token(roles="admin"), "TOKEN_INVALID"),
    "an empty tenant": (lambda: token(tenant=""), "TOKEN_INVALID"),
    "a tenant that is no name": (lambda: token(tenant=["acme"]), "TOKEN_INVALID"),
}


@pytest.fixture
def jwks(tmp_path):
    """`jwks("one", …)` writes the key set where services look for it; it holds "one" at first."""

    def write(*names, extra=()):
        path = tmp_path / "keys" / "jwks.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps({"keys": [*extra, *(jwk(name) for name in names)]}))
        return path

    write("one")
    return write


@pytest.fixture
def clock():
    return ManualClock(NOW_S * MICROSECONDS)


@pytest.fixture
def verifier(jwks, clock):
    return TokenVerifier(jwks("one"), "eil", "eil", now_s=lambda: clock.now_us() / MICROSECONDS, remember=3)


@pytest.fixture
def checks(monkeypatch):
    """Signature checks made so far."""
    made, decode = [], jwt.decode
    monkeypatch.setattr(jwt, "decode", lambda *args, **options: made.append(args[0]) or decode(*args, **options))
    return made


@pytest.fixture
async def regime(serve, jwks, clock):
    async def status(request, context):
        return regime_pb2.GetStatusResponse()

    async with serve("regime", GetStatus=status, clock=clock) as served:
        yield served.stub


class TestOverTheWire:
    @pytest.fixture(autouse=True)
    def look_each_time(self, monkeypatch):
        monkeypatch.setattr(server, "LOOK_S", 0.0)

    @pytest.mark.parametrize(("make", "reason"), REFUSED.values(), ids=REFUSED.keys())
    async def test_a_bad_token_is_refused(self, regime, refusal, make, reason):
        told = await refusal(regime.GetStatus(regime_pb2.GetStatusRequest(), metadata=metadata(make())))
        assert (told.code, told.reason) == (grpc.StatusCode.UNAUTHENTICATED, reason)
        assert told.message.isprintable()

    @pytest.mark.parametrize("header", ["Basic YTpi", "Bearer", "Bearer ", "", "token"])
    async def test_so_is_what_carries_none(self, regime, refusal, header):
        told = await refusal(regime.GetStatus(regime_pb2.GetStatusRequest(), metadata=(("authorization", header),)))
        assert told.code == grpc.StatusCode.UNAUTHENTICATED
        assert told.reason == ("TOKEN_INVALID" if header else "TOKEN_MISSING")

    async def test_a_new_key_serves_without_a_restart(self, regime, refusal, jwks):
        ask, old, new = regime_pb2.GetStatusRequest(), metadata(token("one")), metadata(token("two"))
        await regime.GetStatus(ask, metadata=old)
        assert (await refusal(regime.GetStatus(ask, metadata=new))).reason == "TOKEN_INVALID"
        jwks("one", "two")
        await regime.GetStatus(ask, metadata=new)
        await regime.GetStatus(ask, metadata=old)

    async def test_a_withdrawn_key_opens_nothing_any_more(self, regime, refusal, jwks):
        ask, old = regime_pb2.GetStatusRequest(), metadata(token("one"))
        await regime.GetStatus(ask, metadata=old)
        jwks("two")
        told = await refusal(regime.GetStatus(ask, metadata=old))
        assert (told.code, told.reason) == (grpc.StatusCode.UNAUTHENTICATED, "TOKEN_INVALID")


class TestVerifier:
    def test_claims_become_a_principal(self, verifier):
        principal = verifier.verify(token(roles=["viewer", "admin", "root", 7]))
        assert (principal.subject, principal.tenant) == ("ada", "acme")
        assert principal.roles == {"viewer", "admin"}
        assert principal.service is None

    def test_without_a_tenant_it_is_the_default_one(self, verifier):
        assert verifier.verify(token(without=["tenant", "roles"])).tenant == "default"

    def test_clocks_may_differ_a_little(self, verifier):
        assert verifier.verify(token(exp=NOW_S - LEEWAY_S + 1)).subject == "ada"
        assert verifier.verify(token(nbf=NOW_S + LEEWAY_S - 1)).subject == "ada"

    def test_a_remembered_token_expires_all_the_same(self, verifier, clock, checks):
        bearer = token()
        verifier.verify(bearer)
        clock.advance(59)
        verifier.verify(bearer)
        assert len(checks) == 1
        clock.advance(1 + LEEWAY_S + 1)
        with pytest.raises(Unauthenticated) as caught:
            verifier.verify(bearer)
        assert caught.value.reason == "TOKEN_EXPIRED"

    def test_it_remembers_so_many_and_forgets_the_longest_unused(self, verifier, checks):
        bearers = [token(sub=f"user {i}") for i in range(4)]
        for bearer in (*bearers[:3], bearers[0], bearers[3]):  # the fourth drives out the second
            verifier.verify(bearer)
        assert len(checks) == 4
        for bearer in (bearers[2], bearers[0], bearers[3]):
            verifier.verify(bearer)
        assert len(checks) == 4
        verifier.verify(bearers[1])
        assert len(checks) == 5

    def test_refused_tokens_are_not_remembered(self, verifier, checks):
        for _ in range(2):
            with pytest.raises(Unauthenticated):
                verifier.verify(token(aud="shop"))
        assert len(checks) == 2

    def test_keys_of_other_kinds_do_no_harm(self, verifier, jwks):
        curve = ECAlgorithm.to_jwk(ec.generate_private_key(ec.SECP256R1()).public_key(), as_dict=True)
        encryption = {**jwk("two"), "kid": "enc", "use": "enc"}
        unnamed = {name: value for name, value in jwk("two").items() if name != "kid"}
        jwks("one", extra=[{**curve, "kid": "curve"}, encryption, unnamed])
        assert verifier.verify(token()).subject == "ada"
        with pytest.raises(Unauthenticated):
            verifier.verify(jwt.encode(CLAIMS, KEYS["two"], algorithm="RS256", headers={"kid": "enc"}))

    def test_an_unreadable_key_set_leaves_the_known_keys(self, verifier, jwks):
        verifier.verify(token())
        path = jwks("one", "two")
        path.write_text('{"keys": [{"kty"')
        assert verifier.verify(token(sub="bob")).subject == "bob"
        path.unlink()
        assert verifier.verify(token(sub="eve")).subject == "eve"
        jwks("two")
        assert verifier.verify(token("two")).subject == "ada"

    def test_without_any_key_set_nobody_is_known(self, tmp_path):
        verifier = TokenVerifier(tmp_path / "none.json", "eil", "eil", now_s=lambda: NOW_S)
        with pytest.raises(Unauthenticated):
            verifier.verify(token())
