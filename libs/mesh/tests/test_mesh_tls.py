"""The distributed profile: peers are known by their certificates, and by nothing that they say of themselves."""

import asyncio
import socket
import ssl
import time
from contextlib import asynccontextmanager

import grpc
import pytest
from cryptography import x509
from eil.economy.v1 import economy_pb2, economy_pb2_grpc
from eil_gateway.keys import service_certificates
from eil_mesh.call import acting_for, current_call
from eil_mesh.tls import channel_credentials, peer_service

MINT = economy_pb2.MintRequest(id="p", owner="o", token="PFT", amount_u=1)
YEAR_S = 365 * 86400


@pytest.fixture
def certificates(tmp_path):
    """Certificates of four, of one CA; and of one stranger's."""
    service_certificates(tmp_path / "tls", ["economy", "proof", "market", "gateway"])
    service_certificates(tmp_path / "other", ["economy", "proof"])
    return tmp_path / "tls"


@pytest.fixture
def port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def economy(serve, certificates, port):
    """`economy(Mint=…)`: a ledger on a TCP port, with the certificate of `known_as`."""

    def start(known_as="economy", **methods):
        settings = {"tls_dir": certificates / known_as, "listen": f"localhost:{port}"}
        return serve("economy", settings=settings, **methods)

    return start


@pytest.fixture
def client(port):
    """`client(credentials)`: a stub with a connection of its own."""

    @asynccontextmanager
    async def connect(credentials, *options):
        if credentials is None:
            channel = grpc.aio.insecure_channel(f"localhost:{port}")
        else:
            channel = grpc.aio.secure_channel(f"localhost:{port}", credentials, options)
        async with channel:
            yield economy_pb2_grpc.EconomyServiceStub(channel)

    return connect


class Mint:
    """`Mint`, noting who asks."""

    def __init__(self):
        self.principals = []

    async def __call__(self, request, context):
        call = current_call()
        self.principals.append(call.principal if call else None)
        return economy_pb2.MintResponse()


async def test_a_peer_is_known_by_its_certificate(serve, economy, certificates, port):
    mint = Mint()
    settings = {"tls_dir": certificates / "proof", "listen": "localhost:0", "peers": f"dns:///localhost:{port}"}
    async with economy(Mint=mint), serve("proof", settings=settings) as proof:
        stub = proof.mesh.peers.stub(economy_pb2_grpc.EconomyServiceStub, "economy")
        with acting_for("proof", "acme"):
            await stub.Mint(MINT)
    (principal,) = mint.principals
    assert (principal.service, principal.subject, principal.tenant, principal.roles) == (
        "proof",
        "proof",
        "acme",
        set(),
    )


async def test_what_a_peer_calls_itself_does_not_count(economy, client, certificates, refusal):
    mint = Mint()
    async with economy(Mint=mint):
        async with client(channel_credentials(certificates / "market")) as stub:
            told = await refusal(stub.Mint(MINT, metadata=(("x-eil-service", "proof"), ("x-eil-tenant", "acme"))))
            assert (told.code, told.reason) == (grpc.StatusCode.PERMISSION_DENIED, "ROLE_NOT_ALLOWED")
        async with client(channel_credentials(certificates / "proof")) as stub:
            await stub.Mint(MINT, metadata=(("x-eil-service", "market"),))
    assert [principal.service for principal in mint.principals] == ["proof"]


async def test_the_gateway_is_no_service_and_needs_a_token(economy, client, certificates, refusal, auth):
    async def balances(request, context):
        return economy_pb2.GetBalancesResponse()

    async with economy(GetBalances=balances), client(channel_credentials(certificates / "gateway")) as stub:
        request = economy_pb2.GetBalancesRequest()
        told = await refusal(stub.GetBalances(request, metadata=(("x-eil-service", "market"),)))
        assert (told.code, told.reason) == (grpc.StatusCode.UNAUTHENTICATED, "TOKEN_MISSING")
        await stub.GetBalances(request, metadata=auth("viewer"))


@pytest.mark.parametrize("kind", ["no TLS", "no certificate", "another CA's"])
async def test_who_has_no_certificate_of_the_mesh_is_refused(economy, client, certificates, tmp_path, refusal, kind):
    ca = (certificates / "ca.crt").read_bytes()
    stranger = tmp_path / "other" / "proof"
    credentials = {
        "no TLS": None,
        "no certificate": grpc.ssl_channel_credentials(ca),
        "another CA's": grpc.ssl_channel_credentials(
            ca, (stranger / "tls.key").read_bytes(), (stranger / "tls.crt").read_bytes()
        ),
    }[kind]
    mint = Mint()
    async with economy(Mint=mint), client(credentials) as stub:
        told = await refusal(stub.Mint(MINT, metadata=(("x-eil-service", "proof"),), timeout=10))
    assert told.code == grpc.StatusCode.UNAVAILABLE
    assert mint.principals == []


async def test_a_server_of_another_ca_is_not_talked_to(economy, client, certificates, tmp_path, refusal):
    mint = Mint()
    async with economy(Mint=mint), client(channel_credentials(tmp_path / "other" / "proof")) as stub:
        told = await refusal(stub.Mint(MINT, timeout=10))
    assert told.code == grpc.StatusCode.UNAVAILABLE
    assert mint.principals == []


async def test_a_service_cannot_stand_in_for_another(economy, client, certificates, refusal):
    mint, by_name = Mint(), ("grpc.ssl_target_name_override", "eil-economy")
    async with economy("market", Mint=mint), client(channel_credentials(certificates / "proof"), by_name) as stub:
        told = await refusal(stub.Mint(MINT, timeout=10))
    assert told.code == grpc.StatusCode.UNAVAILABLE
    async with economy(Mint=mint), client(channel_credentials(certificates / "proof"), by_name) as stub:
        await stub.Mint(MINT, wait_for_ready=True)
    assert len(mint.principals) == 1


async def test_renewed_certificates_serve_without_a_restart(economy, certificates, port):
    async with economy(Mint=Mint()):
        first = await served(certificates / "proof", port)
        assert await served(certificates / "proof", port) == first
        service_certificates(certificates, ["economy"], now_s=time.time() + YEAR_S - 86400)  # due: issued anew
        renewed = x509.load_pem_x509_certificate((certificates / "economy" / "tls.crt").read_bytes()).serial_number
        assert renewed != first
        assert await served(certificates / "proof", port) == renewed


async def served(folder, port):
    """Serial number of the certificate that the server shows."""
    context = ssl.create_default_context(cafile=folder / "ca.crt")
    context.load_cert_chain(folder / "tls.crt", folder / "tls.key")
    context.set_alpn_protocols(["h2"])
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # renewed a year ahead, it is not valid yet
    _, writer = await asyncio.open_connection("localhost", port, ssl=context)
    shown = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    return x509.load_der_x509_certificate(shown).serial_number


@pytest.mark.parametrize(
    ("names", "service"),
    [
        ([b"eil-regime", b"localhost"], "regime"),
        ([b"localhost", b"eil-regime.eil.svc.cluster.local"], "regime"),
        ([b"localhost"], None),
        ([b"regime"], None),
        ([], None),
    ],
)
def test_a_service_is_named_by_its_dns_name(names, service):
    assert peer_service({"x509_subject_alternative_name": names}) == service


@pytest.mark.parametrize(
    ("common", "names", "who"),
    [
        (b"keda", [b"keda"], "keda"),
        (b"keda", [b"eil-proof"], "keda"),  # what is both is the lesser of the two
        (b"eil-proof", [b"eil-proof", b"keda"], "proof"),
        (b"proof", [b"localhost"], None),
    ],
)
def test_an_outsider_is_named_by_its_common_name(common, names, who):
    assert peer_service({"x509_common_name": [common], "x509_subject_alternative_name": names}) == who


def test_without_a_certificate_there_is_no_service():
    assert peer_service({"transport_security_type": [b"insecure"]}) is None
