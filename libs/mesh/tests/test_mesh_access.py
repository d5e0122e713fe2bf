"""Who may call what: the contract's own rules, and that every server holds to them."""

import re
from importlib import import_module
from pathlib import Path

import grpc
import pytest
from eil.atlas.v1 import atlas_pb2
from eil.economy.v1 import economy_pb2
from eil.regime.v1 import regime_pb2
from eil_mesh.access import access_of, methods
from eil_mesh.call import caller
from eil_mesh.identity import ROLES
from eil_mesh.services import SERVICES
from google.protobuf import descriptor_pb2, descriptor_pool

PROTOS = next(folder / "protos" for folder in Path(__file__).parents if (folder / "protos").is_dir())
FILES = sorted(PROTOS.glob("eil/*/v1/*.proto"))
CONTRACT = {
    path: method
    for file in FILES
    for service in import_module(
        ".".join([*file.relative_to(PROTOS).parts[:-1], f"{file.stem}_pb2"])
    ).DESCRIPTOR.services_by_name.values()
    for path, method in methods(service)
}
NO_SIDE_EFFECTS = descriptor_pb2.MethodOptions.NO_SIDE_EFFECTS
STATUS = regime_pb2.GetStatusRequest()
MINT = economy_pb2.MintRequest(id="p", owner="o", token="PFT", amount_u=1)


def of_service(name):
    return ("x-eil-service", name)


async def status(request, context):
    return regime_pb2.GetStatusResponse()


async def mint(request, context):
    return economy_pb2.MintResponse()


class TestContract:
    def test_it_is_found(self):
        assert {f"/eil.{service.name}.v1" for service in SERVICES.values() if service.grpc} <= {
            path.rpartition(".")[0] for path in CONTRACT
        }
        assert len(CONTRACT) > 30

    @pytest.mark.parametrize("path", CONTRACT)
    def test_every_method_says_who_may_call_it(self, path):
        access = access_of(path)
        assert access is not None
        assert access.roles or access.services
        assert access.roles <= set(ROLES)
        assert access.services <= {*SERVICES, "*"}

    @pytest.mark.parametrize("path", CONTRACT)
    def test_services_call_along_the_table_alone(self, path):
        owner = path.split(".")[1]
        if owner in ("events", "common"):  # events flow both ways, and what is common serves a service to its own front
            return
        for name in getattr(access_of(path), "services", frozenset()) - {"*"}:
            assert owner in SERVICES[name].calls, f"{name} may call {path}, but the service table knows no such call"

    @pytest.mark.parametrize("path", [path for path in CONTRACT if re.match(r"(Get|List)", path.rpartition("/")[2])])
    def test_reads_have_no_side_effects(self, path):
        assert CONTRACT[path].GetOptions().idempotency_level == NO_SIDE_EFFECTS

    def test_what_commits_is_never_retried(self):
        assert not getattr(access_of("/eil.decision.v1.DecisionService/Act"), "idempotent", True)

    @pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
    def test_every_method_and_message_is_explained(self, file):
        lines = file.read_text().splitlines()
        described = [line for line in lines if re.match(r"\s*(rpc|message|service|enum) ", line)]
        bare = [
            line.strip()
            for before, line in zip(["", *lines], lines, strict=False)
            if line in described and not before.strip().startswith("//")
        ]
        assert bare == []
        named = {line.split()[1].split("(")[0] for line in described if line.strip().startswith("rpc")}
        interfaces = [line.split()[1] for line in described if line.startswith("service ")]
        places = tuple(f"/eil.{file.parts[-3]}.v1.{interface}/" for interface in interfaces)
        assert named == {path.rpartition("/")[2] for path in CONTRACT if path.startswith(places)}

    def test_the_table_has_callees_before_callers(self):
        names = list(SERVICES)
        for service in SERVICES.values():
            assert all(names.index(callee) < names.index(service.name) for callee in service.calls)


class TestRoles:
    @pytest.mark.parametrize(
        ("roles", "allowed"),
        [
            (["viewer"], False),
            (["agent"], False),
            (["operator"], True),
            (["admin"], True),
            (["viewer", "operator"], True),
            ([], False),
            (["OPERATOR"], False),
            (["root"], False),
        ],
    )
    async def test_a_method_is_for_its_roles_and_for_admins(self, serve, auth, refusal, roles, allowed):
        async def put(request, context):
            return regime_pb2.PutSourceResponse()

        request = regime_pb2.PutSourceRequest(source="plant", kind="simulated")
        async with serve("regime", PutSource=put) as regime:
            call = regime.stub.PutSource(request, metadata=auth(*roles))
            if allowed:
                await call
                return
            told = await refusal(call)
        assert (told.code, told.reason) == (grpc.StatusCode.PERMISSION_DENIED, "ROLE_NOT_ALLOWED")
        assert "operator" in told.message

    async def test_admins_may_not_do_what_is_for_services(self, serve, auth, refusal):
        async with serve("economy", Mint=mint) as economy:
            told = await refusal(economy.stub.Mint(MINT, metadata=auth("admin", "operator")))
        assert (told.code, told.reason) == (grpc.StatusCode.PERMISSION_DENIED, "ROLE_NOT_ALLOWED")
        assert "only the mesh itself" in told.message

    async def test_methods_without_a_rule_are_refused(self, serve, auth, refusal):
        file = descriptor_pb2.FileDescriptorProto(name="eil/bare.proto", package="eil.bare", syntax="proto3")
        service = file.service.add(name="Bare")
        file.message_type.add(name="Empty")
        service.method.add(name="Do", input_type=".eil.bare.Empty", output_type=".eil.bare.Empty")
        descriptor_pool.Default().Add(file)

        async def do(request, context):
            pytest.fail("the method ran")

        handler = grpc.unary_unary_rpc_method_handler(do)
        unknown = grpc.method_handlers_generic_handler("eil.bare.Unknown", {"Do": handler})
        without = grpc.method_handlers_generic_handler("eil.bare.Bare", {"Do": handler})
        async with serve(
            "regime", also=lambda mesh: mesh.server.add_generic_rpc_handlers((unknown, without))
        ) as regime:
            for path in ("/eil.bare.Unknown/Do", "/eil.bare.Bare/Do"):
                sent = (*auth("admin"), of_service("proof"))
                told = await refusal(regime.channel.unary_unary(path)(b"", metadata=sent))
                assert (told.code, told.reason) == (grpc.StatusCode.PERMISSION_DENIED, "ROLE_NOT_ALLOWED")

    async def test_methods_that_nobody_serves_are_unimplemented(self, serve, auth, refusal):
        async with serve("regime") as regime:
            told = await refusal(regime.channel.unary_unary("/eil.regime.v1.RegimeService/Nothing")(b""))
        assert told.code == grpc.StatusCode.UNIMPLEMENTED


class TestServices:
    async def test_a_service_may_do_what_is_for_services(self, serve):
        async with serve("economy", Mint=mint) as economy:
            await economy.stub.Mint(MINT, metadata=(of_service("proof"),))

    async def test_another_service_may_not(self, serve, refusal):
        async with serve("economy", Mint=mint) as economy:
            told = await refusal(economy.stub.Mint(MINT, metadata=(of_service("market"),)))
        assert told.code == grpc.StatusCode.PERMISSION_DENIED

    async def test_a_service_holds_no_role(self, serve, refusal):
        request = regime_pb2.PutSourceRequest(source="plant", kind="simulated")
        async with serve("regime") as regime:
            for name in ("proof", "admin", "operator"):
                told = await refusal(regime.stub.PutSource(request, metadata=(of_service(name),)))
                assert (told.code, told.reason) == (grpc.StatusCode.PERMISSION_DENIED, "ROLE_NOT_ALLOWED")

    async def test_a_service_acts_for_a_user_in_its_own_right(self, serve, auth):
        async with serve("economy", Mint=mint) as economy:
            await economy.stub.Mint(MINT, metadata=(*auth("viewer"), of_service("proof")))

    async def test_a_service_lends_its_user_nothing(self, serve, auth, refusal):
        async with serve("regime", GetStatus=status) as regime:
            await regime.stub.GetStatus(STATUS, metadata=(of_service("bridge"), ("x-eil-tenant", "acme")))
            told = await refusal(regime.stub.GetStatus(STATUS, metadata=(*auth(), of_service("bridge"))))
        assert (told.code, told.reason) == (grpc.StatusCode.PERMISSION_DENIED, "ROLE_NOT_ALLOWED")

    async def test_every_service_may_anchor(self, serve, auth, refusal):
        async def anchor(request, context):
            return atlas_pb2.AnchorHeadResponse()

        head = atlas_pb2.JournalHead(journal="j", offset=1, hash=bytes(32), public_key=bytes(32), signature=bytes(64))
        request = atlas_pb2.AnchorHeadRequest(head=head)
        async with serve("atlas", AnchorHead=anchor) as atlas:
            for name in SERVICES:
                await atlas.stub.AnchorHead(request, metadata=(of_service(name),))
            told = await refusal(atlas.stub.AnchorHead(request, metadata=auth("admin")))
        assert told.code == grpc.StatusCode.PERMISSION_DENIED

    async def test_the_gateway_is_no_service(self, serve, refusal):
        async with serve("regime", GetStatus=status) as regime:
            told = await refusal(regime.stub.GetStatus(STATUS, metadata=(of_service("gateway"),)))
        assert (told.code, told.reason) == (grpc.StatusCode.UNAUTHENTICATED, "TOKEN_MISSING")


class TestTenants:
    @staticmethod
    async def whose(request, context):
        return regime_pb2.GetStatusResponse(next_page_token=caller().tenant)

    async def ask(self, serve, *sent):
        async with serve("regime", GetStatus=self.whose) as regime:
            return (await regime.stub.GetStatus(STATUS, metadata=sent)).next_page_token

    async def test_the_tokens_tenant_counts_whatever_a_header_says(self, serve, auth):
        sent = (*auth("viewer", tenant="acme"), of_service("proof"), ("x-eil-tenant", "globex"))
        assert await self.ask(serve, *sent) == "acme"

    async def test_a_header_alone_makes_nobody(self, serve, refusal):
        told = await refusal(self.ask(serve, ("x-eil-tenant", "globex")))
        assert (told.code, told.reason) == (grpc.StatusCode.UNAUTHENTICATED, "TOKEN_MISSING")

    async def test_a_service_names_the_tenant_it_acts_for(self, serve):
        assert await self.ask(serve, of_service("proof"), ("x-eil-tenant", "globex")) == "globex"

    async def test_a_service_without_a_tenant_is_told_so(self, serve, refusal):
        told = await refusal(self.ask(serve, of_service("proof")))
        assert (told.code, told.reason) == (grpc.StatusCode.PERMISSION_DENIED, "NO_TENANT")
