"""Tokens of OpenID providers: whose are taken, how their claims are read, and what happens to their keys."""

import base64
import hashlib
import hmac
import json
import time
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from eil_mesh import issuers
from eil_mesh.errors import InvalidArgument, Unauthenticated, Unavailable
from eil_mesh.identity import TokenVerifier
from eil_mesh.issuers import Issuer, read_issuers, write_issuers
from support.provider import Provider

CLAIMS = {"realm_access": {"roles": ["fleet-operators", "else"]}, "org": "acme"}
ROLES = {"fleet-operators": "operator", "fleet-admins": "admin"}


@pytest.fixture
def provider(tmp_path, monkeypatch):
    monkeypatch.setattr(issuers, "RETRY_S", 0.05)
    monkeypatch.setattr(issuers, "REFRESH_S", 3600.0)
    with Provider(tmp_path).serving() as serving:
        serving.new_key("one")
        yield serving


@pytest.fixture
def enlist(tmp_path):
    def listed(*some):
        draft = tmp_path / "draft"
        draft.write_text(write_issuers(some))
        draft.replace(tmp_path / "issuers.json")

    return listed


@pytest.fixture
def new_verifier(tmp_path):
    """Makes verifiers, whose fetching ends with the test."""
    made = []

    def make():
        made.append(TokenVerifier(tmp_path / "jwks.json", "eil", "eil", now_s=time.time))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def verifier(tmp_path, provider, enlist, new_verifier):
    enlist(provider.issuer(roles=ROLES))
    (tmp_path / "jwks.json").write_text('{"keys": []}')
    return new_verifier()


def refused(verifier, token):
    with pytest.raises(Unauthenticated) as caught:
        verifier.verify(token)
    return caught.value.reason


def soon(judge, until=lambda judged: True, errors=(Unauthenticated, Unavailable)):
    """What `judge` answers once it does so as awaited; keys are fetched beside the test."""
    deadline = time.monotonic() + 60
    while True:
        try:
            if until(judged := judge()):
                return judged
        except errors:
            if time.monotonic() > deadline:
                raise
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_claims_of_a_provider_become_a_principal(verifier, provider):
    principal = soon(lambda: verifier.verify(provider.token("one", **CLAIMS)))
    assert (principal.subject, principal.tenant, principal.roles) == ("ada", "acme", {"operator"})


def test_an_elliptic_key_serves_too(verifier, provider):
    provider.new_key("curve", "EC")
    assert soon(lambda: verifier.verify(provider.token("curve", **CLAIMS))).tenant == "acme"


def test_before_its_keys_came_nobody_is_blamed(tmp_path, enlist, new_verifier):
    silent = Issuer(issuer="https://silent", audience="eil", jwks_url="https://localhost:9/jwks", tenant="acme")
    enlist(silent)
    verifier = new_verifier()
    stranger = Provider(tmp_path)
    stranger.new_key("one")
    with pytest.raises(Unavailable) as caught:
        verifier.verify(stranger.token("one", iss="https://silent"))
    assert caught.value.reason == "ISSUER_UNREACHABLE"
    assert caught.value.retry_after_s


def test_a_new_key_is_fetched_when_a_token_names_it_and_a_withdrawn_one_opens_nothing(verifier, provider):
    old = provider.token("one", **CLAIMS)
    soon(lambda: verifier.verify(old))
    asked = provider.asked
    provider.new_key("two")
    provider.published.remove("one")
    assert soon(lambda: verifier.verify(provider.token("two", **CLAIMS))).subject == "ada"
    assert provider.asked > asked
    assert refused(verifier, old) == "TOKEN_INVALID", "it was remembered, and is forgotten"


def test_unknown_keys_do_not_make_it_ask_at_once_each_time(verifier, provider, monkeypatch):
    soon(lambda: verifier.verify(provider.token("one", **CLAIMS)))
    monkeypatch.setattr(issuers, "REFRESH_S", 7200.0)
    monkeypatch.setattr(issuers, "RETRY_S", 3600.0)
    provider.new_key("unknown", publish=False)
    asked = provider.asked
    for _ in range(20):
        assert refused(verifier, provider.token("unknown", **CLAIMS)) == "TOKEN_INVALID"
        time.sleep(0.02)
    assert provider.asked == asked + 1


def test_the_last_good_keys_stay_in_force(verifier, provider):
    soon(lambda: verifier.verify(provider.token("one", **CLAIMS)))
    provider.fails, asked = True, provider.asked
    provider.new_key("two", publish=False)
    refused(verifier, provider.token("two"))
    soon(lambda: provider.asked, lambda now: now > asked)
    assert verifier.verify(provider.token("one", **CLAIMS, sub="bob")).subject == "bob"


def test_a_provider_that_is_listed_no_more_opens_nothing(verifier, provider, enlist):
    token = provider.token("one", **CLAIMS)
    soon(lambda: verifier.verify(token))
    enlist()
    assert refused(verifier, token) == "TOKEN_INVALID"


def test_a_damaged_list_leaves_those_known_before(verifier, provider, tmp_path):
    soon(lambda: verifier.verify(provider.token("one", **CLAIMS)))
    (tmp_path / "issuers.json").write_text('{"issuers": [{}]}')
    assert verifier.verify(provider.token("one", **CLAIMS, sub="bob")).subject == "bob"


def test_no_provider_can_speak_for_the_mesh_itself(tmp_path, provider, enlist, new_verifier):
    enlist(provider.issuer().model_copy(update={"issuer": "eil", "roles_claim": "roles", "tenant": "default"}))
    (tmp_path / "jwks.json").write_text('{"keys": []}')
    verifier = new_verifier()
    assert refused(verifier, provider.token("one", iss="eil", roles=["admin"])) == "TOKEN_INVALID"


def hmac_signed(provider, secret):
    def part(value):
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=")

    claims = {"iss": provider.url, "aud": "eil", "sub": "ada", "exp": time.time() + 60, **CLAIMS}
    signed = part({"alg": "HS256", "kid": "one"}) + b"." + part(claims)
    return (signed + b"." + base64.urlsafe_b64encode(hmac.digest(secret, signed, hashlib.sha256)).rstrip(b"=")).decode()


FORGED = {
    "another audience": lambda p: p.token("one", aud="shop", **CLAIMS),
    "an issuer that nobody listed": lambda p: p.token("one", iss=p.url + "/", **CLAIMS),
    "no tenant where one must be": lambda p: p.token("one", realm_access=CLAIMS["realm_access"]),
    "a tenant that is no name": lambda p: p.token("one", **{**CLAIMS, "org": ["acme"]}),
    "one role instead of a list": lambda p: p.token("one", org="acme", realm_access={"roles": "fleet-admins"}),
    "the public key as a secret": lambda p: hmac_signed(
        p, p.keys["one"].public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    ),
    "another algorithm of the same key": lambda p: jwt.encode(
        {"iss": p.url, "aud": "eil", "sub": "ada", "exp": time.time() + 60, **CLAIMS},
        p.keys["one"], algorithm="RS512", headers={"kid": "one"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("forge", FORGED.values(), ids=FORGED.keys())
def test_what_is_not_right_is_refused(verifier, provider, forge):
    soon(lambda: verifier.verify(provider.token("one", **CLAIMS)))
    assert refused(verifier, forge(provider)) == "TOKEN_INVALID"


def test_shared_secrets_in_a_key_set_verify_nothing(verifier, provider, monkeypatch):
    secret = b"a secret of some length, that is published"
    encoded = base64.urlsafe_b64encode(secret).rstrip(b"=").decode()
    monkeypatch.setattr(
        provider, "jwk", lambda name: {"kty": "oct", "k": encoded, "kid": name, "use": "sig", "alg": "HS256"}
    )
    soon(lambda: refused(verifier, hmac_signed(provider, secret)), lambda reason: reason == "TOKEN_INVALID")


def test_claims_are_found_by_path_or_by_their_whole_name():
    fields: Any = {"issuer": "i", "audience": "a", "jwks_url": "https://h/k", "tenant": "t"}
    nested = Issuer(**fields, roles_claim="resource_access.eil.roles")
    assert nested.roles_of({"resource_access": {"eil": {"roles": ["viewer", "root", 7]}}}) == {"viewer"}
    assert nested.roles_of({"resource_access": "none"}) == set()
    whole = Issuer(**fields, roles_claim="https://eil.example/roles")
    assert whole.roles_of({"https://eil.example/roles": ["agent"]}) == {"agent"}
    mapped = Issuer(**fields, roles={"a": "agent", "b": "admin"})
    assert mapped.roles_of({"roles": ["a", "admin"]}) == {"agent"}, (
        "the mesh's own names are not taken where others are given"
    )
    assert mapped.tenant_of({"tenant": "other"}) == "t", "a claim that was not named is not read"


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"jwks_url": "http://h/k"}, "https"),
        ({"jwks_url": ""}, "jwks_file"),
        ({"jwks_file": "keys.json"}, "one of them"),
        ({"tenant": ""}, "tenant"),
        ({"roles": {"a": "emperor"}}, "emperor"),
        ({"audience": ""}, "audience"),
        ({"audiences": "a"}, "audiences"),
    ],
)
def test_a_list_that_makes_no_sense_is_refused(tmp_path, fields, word):
    whole = {"issuer": "i", "audience": "a", "jwks_url": "https://h/k", "tenant": "t", **fields}
    (tmp_path / "issuers.json").write_text(json.dumps({"issuers": [whole]}))
    with pytest.raises(InvalidArgument, match=word):
        read_issuers(tmp_path)


def test_an_issuer_is_listed_once():
    one = Issuer(issuer="i", audience="a", jwks_url="https://h/k", tenant="t")
    with pytest.raises(InvalidArgument, match="twice"):
        write_issuers([one, one])
