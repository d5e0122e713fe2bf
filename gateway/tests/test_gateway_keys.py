"""Keys are made once, are private, and what they sign is what the mesh believes."""

import json
import stat
import time
from pathlib import Path

import grpc
import jwt
import pytest
from cryptography import x509
from eil_gateway.keys import ensure_keys, issue_token, service_certificates
from eil_mesh.errors import FailedPrecondition, InvalidArgument, Unauthenticated
from eil_mesh.identity import TokenVerifier
from eil_mesh.tls import channel_credentials, peer_service, server_credentials

NOW_S = 1_800_000_000.0
DAY_S = 86_400.0
MADE = ["ca.crt", "ca.key", "jwks.json", "signing.pem", "tls.crt", "tls.key"]


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def names_of(path: Path) -> set[str]:
    certificate = x509.load_pem_x509_certificate(path.read_bytes())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return {str(name.value) for name in names}


def test_keys_are_complete_and_private(tmp_path: Path) -> None:
    state = tmp_path / "state"
    keys = ensure_keys(state)
    assert sorted(contents(keys.folder)) == MADE
    assert stat.S_IMODE(keys.folder.stat().st_mode) == stat.S_IMODE(state.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in keys.folder.iterdir()} == {0o600}
    published = json.loads(keys.jwks.read_text())["keys"][0]
    assert set(published) == {"e", "n", "kty", "kid", "alg", "use"}, "nothing of the private key is published"


def test_a_second_run_changes_nothing_and_fills_gaps(tmp_path: Path) -> None:
    keys = ensure_keys(tmp_path, now_s=NOW_S)
    before = contents(keys.folder)
    ensure_keys(tmp_path, now_s=NOW_S + 300 * DAY_S)
    assert contents(keys.folder) == before
    keys.jwks.unlink()
    ensure_keys(tmp_path, now_s=NOW_S)
    assert contents(keys.folder) == before, "the key set follows from the signing key"


def test_the_certificate_is_renewed_before_it_expires(tmp_path: Path) -> None:
    keys = ensure_keys(tmp_path, now_s=NOW_S)
    before = contents(keys.folder)
    later_s = NOW_S + 336 * DAY_S
    ensure_keys(tmp_path, now_s=later_s)
    after = contents(keys.folder)
    assert [name for name in MADE if before[name] != after[name]] == ["tls.crt"]
    assert x509.load_pem_x509_certificate(after["tls.crt"]).not_valid_after_utc.timestamp() == later_s + 365 * DAY_S


def test_the_certificate_covers_a_new_host(tmp_path: Path) -> None:
    keys = ensure_keys(tmp_path)
    assert names_of(keys.certificate) == {"localhost", "127.0.0.1", "::1"}
    ensure_keys(tmp_path, hosts=["localhost", "eil.example"])
    assert names_of(keys.certificate) == {"localhost", "eil.example"}


def test_a_token_says_what_was_asked(tmp_path: Path) -> None:
    keys = ensure_keys(tmp_path)
    now_s = time.time()
    token = issue_token(tmp_path, subject="ada", roles=["viewer", "operator"], tenant="plant", ttl_s=60, now_s=now_s)
    verifier = TokenVerifier(keys.jwks, "eil", "eil", now_s=lambda: now_s)
    principal = verifier.verify(token)
    assert (principal.subject, principal.tenant, principal.roles) == ("ada", "plant", {"viewer", "operator"})
    claims = jwt.decode(token, options={"verify_signature": False})
    assert (claims["iat"], claims["exp"]) == (int(now_s), int(now_s + 60))


def test_an_expired_or_foreign_token_is_refused(tmp_path: Path) -> None:
    keys = ensure_keys(tmp_path / "here")
    ensure_keys(tmp_path / "there")
    verifier = TokenVerifier(keys.jwks, "eil", "eil", now_s=time.time)
    old = issue_token(tmp_path / "here", subject="ada", roles=["viewer"], ttl_s=60, now_s=time.time() - 120)
    foreign = issue_token(tmp_path / "there", subject="ada", roles=["admin"], now_s=time.time())
    for token, reason in ((old, "TOKEN_EXPIRED"), (foreign, "TOKEN_INVALID")):
        with pytest.raises(Unauthenticated) as refused:
            verifier.verify(token)
        assert refused.value.reason == reason


def test_senseless_tokens_are_not_issued(tmp_path: Path) -> None:
    with pytest.raises(FailedPrecondition, match="eil up"):
        issue_token(tmp_path, subject="ada", roles=["viewer"], now_s=NOW_S)
    ensure_keys(tmp_path)
    for roles in (["emperor"], []):
        with pytest.raises(InvalidArgument, match="viewer"):
            issue_token(tmp_path, subject="ada", roles=roles, now_s=NOW_S)


async def test_service_certificates_carry_mutual_tls(tmp_path: Path) -> None:
    keys = ensure_keys(tmp_path)
    service_certificates(keys.folder, ["regime", "proof"])
    before = contents(keys.folder / "proof")
    service_certificates(keys.folder, ["regime", "proof"])
    assert contents(keys.folder / "proof") == before
    assert before["ca.crt"] == keys.ca.read_bytes(), "one CA for all"
    assert names_of(keys.folder / "regime" / "tls.crt") == {"eil-regime", "localhost"}

    peers: list[str | None] = []

    async def who(request: bytes, context: grpc.aio.ServicerContext) -> bytes:
        peers.append(peer_service(context.auth_context()))
        return request

    server = grpc.aio.server()
    handlers = {"Who": grpc.unary_unary_rpc_method_handler(who)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("T", handlers),))
    port = server.add_secure_port("localhost:0", server_credentials(keys.folder / "regime"))
    await server.start()
    try:
        mutual = channel_credentials(keys.folder / "proof")
        async with grpc.aio.secure_channel(f"localhost:{port}", mutual) as channel:
            assert await channel.unary_unary("/T/Who")(b"hello") == b"hello"
        assert peers == ["proof"]
        nobody = grpc.ssl_channel_credentials(keys.ca.read_bytes())
        async with grpc.aio.secure_channel(f"localhost:{port}", nobody) as channel:
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await channel.unary_unary("/T/Who")(b"hello")
        assert refused.value.code() == grpc.StatusCode.UNAVAILABLE
        assert peers == ["proof"]
    finally:
        await server.stop(None)


def test_unknown_services_get_no_certificate(tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument, match="regimes"):
        service_certificates(tmp_path, ["regimes"])
