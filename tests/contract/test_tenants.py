"""Two tenants cannot see, prove or spend each other's things: every RPC of the contract, generated from the protos.

Tenant alpha owns a world. Tenant beta, as an admin, calls every method with alpha's own names. Beta must learn nothing and change nothing.
"""

import base64
import itertools
import time
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import grpc
import pytest
from eil_diffusion.domain.energy_diffusion_core.model import dumps
from eil_diffusion.domain.energy_diffusion_core.physics_sets import gaussian_free_field
from eil_diffusion.domain.energy_diffusion_core.training import Training, train
from eil_mesh.access import access_of, contract, methods
from eil_mesh.clock import from_us
from eil_mesh.services import SERVICES
from eil_nvp.domain.fields import datasets, model
from eil_nvp.domain.fields.network import NetworkTraining
from eil_nvp.domain.fields.registry import DOMAINS
from google.protobuf import json_format
from google.protobuf.descriptor import FieldDescriptor, MethodDescriptor
from google.protobuf.message_factory import GetMessageClass
from support.plant import Plant

CONTRACTS = [file for name, service in SERVICES.items() if service.grpc for file in contract(name)]
METHODS: dict[str, MethodDescriptor] = dict(
    itertools.chain.from_iterable(methods(service) for file in CONTRACTS for service in file.services_by_name.values())
)
ORDINARY = {path: method for path, method in METHODS.items() if (access := access_of(path)) and access.roles}
SAME_FOR_ALL = ("GetPricing", "GetEnergyMap", "ListHeads", "ListPolicies")
"""Methods whose answer is no tenant's, or moves by itself."""
INTERNAL = sorted(METHODS.keys() - ORDINARY.keys())


def _field_model() -> str:
    """A small checkpoint, in base64."""
    domain = DOMAINS["heat"]
    made, about = datasets.generate(domain, seed=0, trajectories=4, steps=2, points=16)
    how = model.FieldTraining("heat", 0, 4, 2, 16, NetworkTraining(updates=1, width=4))
    return base64.b64encode(model.dumps(model.train(how, made, about.digest))).decode()


def _diffusion_model() -> str:
    """A small checkpoint, in base64."""
    small = Training(updates=1, width=4)
    return base64.b64encode(dumps(train(gaussian_free_field(32, 0), small, lambda *_: None))).decode()


class World:
    """Alpha's things, and calls as either tenant over gRPC through the door."""

    def __init__(self, mesh: Any, stamp: Any) -> None:
        self.mesh, self.now_us = mesh, time.time_ns() // 1000
        door = mesh.door("admin", tenant="alpha", subject="alpha-owner")
        plant = Plant(door, stamp, source="alpha-plant")
        plant.sense(30)
        proven = plant.act()
        plant.sense(6)
        door.call("POST", "/v1/proof", plant.proof_of(proven))
        unproven = plant.act()
        plant.sense(6)
        door.call("PUT", "/v1/modes/alpha-plant", {"mode": "approve"})
        servers = {"name": "alpha_servers", "kind": "servers", "low": 1, "high": 10}
        door.call("PUT", "/v1/levers/alpha-plant", {"levers": [servers]})
        to_approve = plant.act()
        minute_ago = {"baseline_start": stamp(plant.now_s - 120), "baseline_end": stamp(plant.now_s)}
        what = {
            "source": "alpha-plant",
            "boundary": "a rack",
            "ipmvp_option": "B",
            "method": "regression",
            "model": "mean",
        }
        length = {"interval_s": 10, "reporting_intervals": 1000}  # too long to decide: it stands still
        begun = door.call("POST", "/v1/verifications", {**what, **minute_ago, **length})["verification"]
        history = [{"name": "load", "values": [1.0, 2.0, 3.0]}]
        door.call("POST", "/v1/nvp/predict", {"history": history})  # draws the first lease: the starting grant appears
        grant = {"debit_owner": "@treasury", "credit_owner": "alpha-owner", "token": "CEU", "amount_u": 5_000_000}
        door.call("POST", "/v1/economy/transfers", {"id": "alpha-grant", **grant})
        link = {"from_source": "alpha-feed", "to_source": "alpha-plant", "kind": "LINK_KIND_FEEDS"}
        door.call("POST", "/v1/atlas/links", {"links": [link]})
        stored = door.call("POST", "/v1/atlas/objects", {"content": "YWxwaGE=", "media_type": "text/plain"})
        known = {"name": "alpha-plan", "kind": "text", "digest": stored["digest"]}
        checkpoint = door.call("POST", "/v1/atlas/checkpoints", known)["checkpoint"]
        served = door.call("POST", "/v1/atlas/objects", {"content": _field_model()})
        door.call("PUT", f"/v1/nvp/models/{served['digest']}", {})
        drafts = door.call("POST", "/v1/atlas/objects", {"content": _diffusion_model()})
        door.call("PUT", f"/v1/diffusion/models/{drafts['digest']}", {})
        field = {"gaussian_free_field": {"side": 4, "mass2": 0.5}}
        run = door.call("POST", "/v1/diffusion/sample", {"energy": field})
        self.names = {
            "source": "alpha-plant",
            "from_source": "alpha-plant",
            "to_source": "alpha-room",
            "prediction_id": unproven["prediction_id"],
            "owner": "alpha-owner",
            "debit_owner": "alpha-owner",
            "credit_owner": "beta-owner",
            "digest": stored["digest"],
            "id": "beta-steals",
            "request_id": "beta-asks",
            "token": "CEU",
            "token_in": "CEU",
            "token_out": "PFT",
            "pair": "CEU-PFT",
            "goal": "minimize_energy",
            "mode": "auto",
            "verification_id": begun["verification_id"],
            "boundary": "a room",
            "ipmvp_option": "B",
            "reason": "beta says so",
            "evidence": "none",
            "kind": "simulated",
            "name": "power_draw",
            "domain": "heat",
            "journal": "regime/0",
            "model": "alpha-model",
            "holder": "alpha-owner",
            "principal": "alpha-owner",
            "checkpoint_id": checkpoint["checkpoint_id"],
            "form": "grid",
            "run_id": run["run_id"],
            "regime": "stable",
            "schedule": "cosine",
        }
        self.approvable = to_approve["prediction_id"]
        self.secrets = {
            "alpha-plant",
            "alpha-feed",
            "alpha-owner",
            stored["digest"],
            served["digest"],
            drafts["digest"],
            run["run_id"],
            proven["prediction_id"],
            unproven["prediction_id"],
            begun["verification_id"],
            begun["commitment_digest"],
            checkpoint["checkpoint_id"],
        }
        self.predicted = unproven["predicted_state"]
        roots = Path(mesh.endpoint.ca).read_bytes()
        self.channel = grpc.secure_channel(
            mesh.endpoint.grpc.replace("127.0.0.1", "localhost"), grpc.ssl_channel_credentials(roots)
        )

    def request(self, path: str) -> Any:
        """A valid request that names alpha's things."""
        request = self._filled(GetMessageClass(METHODS[path].input_type))
        if path.endswith("/ApproveDecision"):
            request.prediction_id = self.approvable
        if path.endswith("/SetLevers"):
            del request.levers[:]
        if path.endswith("/PutTariff"):
            del request.steps[:]
        if path.endswith("/PutObjectStream"):
            request.digest = ""
        if path.endswith(("/ExportMetrics", "/RemoteWrite")):
            del request.extensions[:]
            request.content_type, request.data = "application/x-protobuf", b""
        if path.endswith(("/Sample", "/StreamSample", "/VerifyRun")):
            asked = {"StreamSample": "request", "VerifyRun": "sample"}.get(path.rpartition("/")[2])
            sampled = getattr(request, asked) if asked else request
            sampled.model, sampled.context.source = "", ""
        if path.endswith("/BeginVerification"):
            request.method, request.model = "regression", "mean"
            for field in ("pairs", "block_intervals", "washout_intervals"):
                request.ClearField(field)
        return request

    def _filled(self, kind: Any) -> Any:
        message = kind()
        for field in kind.DESCRIPTOR.fields:
            if field.containing_oneof is None or field is field.containing_oneof.fields[0]:
                self._fill(message, field)
        return message

    def _fill(self, message: Any, field: FieldDescriptor) -> None:
        name = field.name
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            if name == "telemetry":
                getattr(message, name)["power_draw"] = 1.0
        elif field.message_type is not None and field.message_type.full_name == "google.protobuf.Timestamp":
            moment = from_us(self._moment_us(name))
            (getattr(message, name).append if field.is_repeated else getattr(message, name).CopyFrom)(moment)
        elif field.message_type is not None:
            if name == "planned":
                return
            value = self._filled(GetMessageClass(field.message_type))
            (getattr(message, name).append if field.is_repeated else getattr(message, name).CopyFrom)(value)
        elif name in self.names and field.enum_type is None:
            setattr(message, name, self.names[name])
        elif name in ("energy", "entropy"):
            setattr(message, name, self.predicted[name])
        elif name == "page_token":
            return
        elif field.is_repeated:
            if name in ("values", "power_w"):
                getattr(message, name).append(1.0)
        elif field.type == FieldDescriptor.TYPE_BYTES:
            setattr(message, name, b"x" * 32)
        elif field.type == FieldDescriptor.TYPE_DOUBLE:
            setattr(message, name, {"horizon_s": 60.0, "level": 0.5, "avg_utilization": 0.4}.get(name, 0.5))
        elif field.type != FieldDescriptor.TYPE_STRING:
            setattr(
                message,
                name,
                {"side": 4, "mode": 1, "page_size": 50, "interval_s": 3600, "resolution_s": 60}.get(name, 1),
            )

    def _moment_us(self, name: str) -> int:
        return self.now_us - 3600 * 10**6 if name in ("start", "baseline_start") else self.now_us

    def call(self, tenant: str, path: str, request: Any) -> tuple[grpc.StatusCode, list[Any]]:
        """Status and responses; a stream is listened to for a moment."""
        method = METHODS[path]
        answer = GetMessageClass(method.output_type).FromString
        metadata = (("authorization", f"Bearer {self._token(tenant)}"),)
        write = type(request).SerializeToString
        try:
            if method.client_streaming and method.server_streaming:
                both = self.channel.stream_stream(path, write, answer)
                return grpc.StatusCode.OK, list(both(iter([request]), metadata=metadata, timeout=30.0))
            if method.client_streaming:
                call = self.channel.stream_unary(path, write, answer)
                return grpc.StatusCode.OK, [call(iter([request]), metadata=metadata, timeout=30.0)]
            if method.server_streaming:
                stream = self.channel.unary_stream(path, write, answer)(request, metadata=metadata, timeout=1.0)
                return grpc.StatusCode.OK, list(stream)
            call = self.channel.unary_unary(path, write, answer)
            return grpc.StatusCode.OK, [call(request, metadata=metadata, timeout=30.0)]
        except grpc.RpcError as error:
            return error.code(), []

    @cache  # noqa: B019 - the world lives as long as the module's tests
    def _token(self, tenant: str) -> str:
        return self.mesh.token("admin", tenant=tenant, subject=f"{tenant}-owner")

    def snapshot(self) -> dict[str, str]:
        """What alpha sees of its own world."""
        seen = {}
        for path in sorted(ORDINARY):
            name = path.rpartition("/")[2]
            if name.startswith(("Get", "List", "Measure")) and name not in SAME_FOR_ALL:
                status, answers = self.call("alpha", path, self.request(path))
                seen[path] = f"{status} {[str(_at_rest(answer)) for answer in answers]}"
        return seen


def _at_rest(answer: Any) -> Any:
    """The answer without what asking itself moves: alpha's own calls are paid from leases on its budget."""
    fields = answer.DESCRIPTOR.fields_by_name
    for budget in (*getattr(answer, "budgets", ()), *([answer.budget] if "budget" in fields else ())):
        budget.left_u = budget.leased_u = 0
    if "transfers" in fields:
        others = [one for one in answer.transfers if one.reason not in ("compute_lease", "budget_refill")]
        del answer.transfers[:]
        answer.transfers.extend(others)
    return answer


@pytest.fixture(scope="module")
def world(mesh):
    now = datetime.now(UTC)
    stamp = lambda seconds: (now + timedelta(seconds=seconds)).isoformat().replace("+00:00", "Z")  # noqa: E731
    made = World(mesh, stamp)
    yield made
    made.channel.close()


@pytest.mark.parametrize("path", sorted(ORDINARY))
def test_beta_learns_nothing_and_changes_nothing(world, path):
    request = world.request(path)
    before = _settled(world)
    beta = f"beta-{sorted(ORDINARY).index(path)}"  # a tenant of its own, which owns nothing yet
    status, answers = world.call(beta, path, request)
    assert status != grpc.StatusCode.INVALID_ARGUMENT, (
        "the generated request must reach the method: give it a value above"
    )
    assert status not in (grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN, grpc.StatusCode.UNIMPLEMENTED)
    told = world.secrets - {value for value in world.names.values() if value in json_format.MessageToJson(request)}
    for answer in answers:
        text = json_format.MessageToJson(answer)
        assert not [secret for secret in told if secret in text], text
    if path in before and answers:
        own_status, own = world.call("alpha", path, request)
        assert own_status == grpc.StatusCode.OK
        stands_for_nothing = type(answers[0])()
        assert answers[0] != own[0] or own[0] == stands_for_nothing, "beta read what is alpha's"
    assert world.snapshot() == before


def _settled(world: World) -> dict[str, str]:
    """Alpha's view, once the Atlas has followed and nothing moves by itself."""
    seen = world.snapshot()
    for _ in range(200):
        time.sleep(0.05)
        again = world.snapshot()
        if again == seen and "states {" in seen["/eil.atlas.v1.AtlasService/ListStates"]:
            return seen
        seen = again
    raise AssertionError("alpha's world does not come to rest")


@pytest.mark.parametrize("path", INTERNAL)
def test_what_only_the_mesh_may_call_is_refused_to_everybody(world, path):
    request = world.request(path)
    status, _ = world.call("alpha", path, request)
    assert status == grpc.StatusCode.PERMISSION_DENIED


def test_every_method_of_the_contract_is_covered():
    assert len(METHODS) >= 40
    assert not [path for path in METHODS if access_of(path) is None], "a method without an access rule"
