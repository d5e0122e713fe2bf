"""Verification of savings over gRPC with a real regime service: what is committed, what counts, what is refused."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager

import grpc
import numpy as np
import pytest
from eil.events.v1 import event_log_pb2, event_log_pb2_grpc
from eil.proof.v1 import proof_pb2, proof_pb2_grpc
from eil.regime.v1 import regime_pb2, regime_pb2_grpc
from eil_atlas.main import build as build_atlas
from eil_atlas.settings import AtlasSettings
from eil_mesh.clock import MICROSECONDS, ManualClock, from_us
from eil_mesh.status import reason_of
from eil_mesh.testing import metadata, running, token
from eil_proof.main import build as build_proof
from eil_proof.settings import ProofSettings
from eil_proof.signing import check
from eil_regime.main import build as build_regime
from eil_regime.settings import RegimeSettings

HOUR_US = 3600 * MICROSECONDS
NOW_US = 500_000 * HOUR_US
WEEKS, LENGTH = 8, 168
BASELINE = WEEKS * 168


class World:
    """A plant that sends hourly means, and an operator of tenant acme."""

    def __init__(self, tmp_path, regime: grpc.aio.Channel, proof: grpc.aio.Channel):
        self.tmp_path, self.clock, self.hour = tmp_path, ManualClock(NOW_US), -BASELINE
        self.regime: regime_pb2_grpc.RegimeServiceAsyncStub = regime_pb2_grpc.RegimeServiceStub(regime)
        self.proof: proof_pb2_grpc.ProofServiceAsyncStub = proof_pb2_grpc.ProofServiceStub(proof)
        self.log = event_log_pb2_grpc.EventLogServiceStub(proof)
        self.rng = np.random.default_rng(1)

    def auth(self, tenant="acme", subject="operator"):
        return metadata(token(self.tmp_path, roles=["operator"], tenant=tenant, subject=subject))

    async def enrol(self, kind="metered", credential="meter"):
        request = regime_pb2.PutSourceRequest(source="rack", kind=kind, credential=credential)
        await self.regime.PutSource(request, metadata=self.auth())

    async def send(self, hours, *, share=1.0, rate=None, subject="meter"):
        """So many hours of telemetry; power is `share` of what the baseline's law says."""
        ends = np.arange(self.hour + 1, self.hour + hours + 1)
        load = rate or 100 + 40 * np.sin(2 * np.pi * ends / 24) + self.rng.normal(size=hours)
        watts = share * (500 + 3.0 * np.maximum(load - 80, 0) + 20 * self.rng.normal(size=hours))
        self.hour += hours
        request = regime_pb2.IngestRequest(
            source="rack",
            times_us=(NOW_US + ends * HOUR_US).tolist(),
            columns=[
                regime_pb2.Column(name="power_draw", values=watts),
                regime_pb2.Column(name="request_rate", values=np.broadcast_to(load, hours)),
            ],
            power_kind="mean",
        )
        answer = await self.regime.Ingest(request, metadata=self.auth(subject=subject))
        assert answer.accepted == hours

    def pass_hours(self, hours):
        self.clock.advance(3600.0 * hours)

    async def reporting(self, *, share=1.0, hours=LENGTH + 1, **more):
        """The reporting period and one hour after it, which makes it final."""
        self.pass_hours(hours)
        await self.send(hours, share=share, **more)

    def request(self, **changes):
        fields = {
            "source": "rack",
            "boundary": "feeder of rack 7",
            "ipmvp_option": "B",
            "method": "regression",
            "model": "change_point",
            "driver": "request_rate",
            "baseline_start": from_us(NOW_US - BASELINE * HOUR_US),
            "baseline_end": from_us(NOW_US),
            "reporting_intervals": LENGTH,
        } | changes
        return proof_pb2.BeginVerificationRequest(
            **{name: value for name, value in fields.items() if value is not None}
        )

    async def begin(self, *, tenant="acme", **changes):
        request = self.request(**changes)
        return (await self.proof.BeginVerification(request, metadata=self.auth(tenant))).verification

    async def evaluate(self, verification, tenant="acme"):
        request = proof_pb2.EvaluateVerificationRequest(verification_id=verification.verification_id)
        return await self.proof.EvaluateVerification(request, metadata=self.auth(tenant))

    async def get(self, verification):
        request = proof_pb2.GetVerificationRequest(verification_id=verification.verification_id)
        return (await self.proof.GetVerification(request, metadata=self.auth())).verification

    async def dispute(self, verification, first_hour, last_hour, **more):
        request = proof_pb2.DisputeVerificationRequest(
            verification_id=verification.verification_id,
            reason="a second rack was plugged in",
            evidence="ticket 4711",
            start=from_us(NOW_US + first_hour * HOUR_US),
            end=from_us(NOW_US + last_hour * HOUR_US),
            **more,
        )
        return (await self.proof.DisputeVerification(request, metadata=self.auth(subject="auditor"))).verification

    async def export(self, verification):
        request = proof_pb2.ExportVerificationRequest(verification_id=verification.verification_id)
        return await self.proof.ExportVerification(request, metadata=self.auth())


@pytest.fixture
async def start(tmp_path):
    @asynccontextmanager
    async def start_world(**settings):
        async with (
            grpc.aio.insecure_channel(f"unix:{tmp_path}/regime.sock") as regime,
            grpc.aio.insecure_channel(f"unix:{tmp_path}/proof.sock") as proof,
        ):
            world = World(tmp_path, regime, proof)
            async with (
                running(tmp_path, RegimeSettings, build_regime, clock=world.clock),
                running(tmp_path, AtlasSettings, build_atlas, clock=world.clock),
                running(tmp_path, ProofSettings, build_proof, clock=world.clock, grace_s=0.5, **settings),
            ):
                yield world

    return start_world


@pytest.fixture
async def world(start):
    async with start() as made:
        await made.enrol()
        await made.send(BASELINE)
        made.pass_hours(0.01)
        yield made


async def refused(call):
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value.code().name, reason_of(caught.value)


async def test_a_saving_is_committed_measured_proven_and_recomputed_offline(world):
    begun = await world.begin()
    assert begun.state == "BASELINE_FITTED"
    assert (begun.baseline.n, begun.baseline.placebo_windows) == (BASELINE, WEEKS)
    assert not begun.baseline.lacking
    assert not begun.baseline.failed_gates
    assert await refused(world.evaluate(begun)) == ("FAILED_PRECONDITION", "NOT_YET_MEASURED")
    await world.reporting(share=0.9)
    answer = await world.evaluate(begun)
    found = answer.verification
    assert (found.state, answer.already_evaluated) == ("PROVEN", False)
    assert 0.07 < found.saving.saving / found.saving.predicted_energy < 0.13
    assert 0 < found.saving.creditable == found.saving.saving_low
    again = await world.evaluate(begun)
    assert again.already_evaluated
    assert again.verification == found
    exported = await world.export(begun)
    checked = check(exported.record.encode())
    assert not checked.problems
    assert checked.record["sha256"] == found.record_digest
    assert checked.record["commitment_sha256"] == begun.commitment_digest
    assert len(exported.csv.splitlines()) == 1 + BASELINE + LENGTH


async def test_the_digest_stands_in_the_journal_before_the_action(world):
    begun = await world.begin()
    stream = world.log.Subscribe(event_log_pb2.SubscribeRequest(from_offset=1), metadata=world.auth())
    event = (await stream.read()).event
    stream.cancel()
    assert event.topic == "eil.proof.verifications"
    assert proof_pb2.Verification.FromString(event.payload).commitment_digest == begun.commitment_digest


async def test_what_is_measured_later_never_changes_the_baseline(world):
    begun = await world.begin()
    await world.reporting(share=2.0)
    found = (await world.evaluate(begun)).verification
    assert found.state == "REFUTED"
    assert found.saving.saving < 0, "negative savings are shown"
    assert (found.commitment_digest, found.baseline) == (begun.commitment_digest, begun.baseline)


async def test_nothing_done_proves_nothing(world):
    begun = await world.begin()
    await world.reporting()
    found = (await world.evaluate(begun)).verification
    assert found.state == "NOT_PROVEN"
    assert found.saving.creditable == 0.0


async def test_samples_received_before_the_commitment_do_not_count(world):
    await world.reporting(share=0.5)
    begun = await world.begin()
    assert begun.reporting_start == from_us(NOW_US + (LENGTH + 1) * HOUR_US), "the source's clock is there already"
    early = world.request(reporting_start=from_us(NOW_US))
    assert await refused(world.proof.BeginVerification(early, metadata=world.auth())) == (
        "INVALID_ARGUMENT",
        "INVALID_ARGUMENT",
    )


async def test_another_credential_is_not_credited(world):
    begun = await world.begin()
    await world.reporting(share=0.9, subject="somebody")
    found = (await world.evaluate(begun)).verification
    assert found.state == "PROVEN"
    assert found.saving.creditable == 0.0
    assert "own credential" in found.reason


async def test_missing_data_and_loads_never_seen_cannot_decide(world):
    begun = await world.begin()
    await world.reporting(share=0.9, rate=1000.0)
    found = (await world.evaluate(begun)).verification
    assert found.state == "INSUFFICIENT_DATA"
    assert found.saving.missing == 1.0


async def test_a_baseline_that_cannot_decide_says_so_at_once(world):
    begun = await world.begin(reporting_intervals=BASELINE // 2)
    assert begun.state == "INSUFFICIENT_DATA"
    assert "windows" in begun.reason
    assert (await world.evaluate(begun)).already_evaluated
    assert await refused(world.export(begun)) == ("FAILED_PRECONDITION", "NOT_YET_EVALUATED")
    longer = await world.begin(baseline_start=from_us(NOW_US - 2 * BASELINE * HOUR_US))
    assert "missing" in longer.reason


async def test_a_non_routine_event_disputes_and_leaves_its_intervals_out(world):
    begun = await world.begin()
    disputed = await world.dispute(begun, 10, 12, request_id="d1")
    assert disputed.state == "DISPUTED"
    assert await world.dispute(begun, 10, 12, request_id="d1") == disputed
    await world.reporting(share=0.9)
    found = (await world.evaluate(begun)).verification
    assert (found.state, found.undisputed_state) == ("DISPUTED", "PROVEN")
    assert found.saving.missing == pytest.approx(2 / LENGTH)
    assert found.saving.creditable == 0.0
    assert found.disputes[0].declared_by == "auditor"
    later = await world.dispute(begun, 20, 40)
    assert (later.state, later.undisputed_state) == ("DISPUTED", "PROVEN")
    assert later.saving.missing > 0.1
    checked = check((await world.export(begun)).record.encode())
    assert not checked.problems
    assert [one["evidence"] for one in checked.record["exclusions"]] == ["ticket 4711"] * 2


async def test_a_switchback_needs_no_baseline(world):
    begun = await world.begin(
        method="switchback",
        model="",
        baseline_start=None,
        baseline_end=None,
        reporting_intervals=0,
        pairs=7,
        block_intervals=12,
        washout_intervals=1,
    )
    assert begun.state == "BASELINE_FITTED"
    assert len(begun.on_first) == 7
    for on_first in begun.on_first:
        for on in (on_first, not on_first):
            await world.reporting(hours=12, share=0.8 if on else 1.0)
    await world.reporting(hours=1)
    found = (await world.evaluate(begun)).verification
    assert found.state == "PROVEN", found.reason
    assert not check((await world.export(begun)).record.encode()).problems


async def test_one_verification_has_a_stretch_of_time(world):
    begun = await world.begin(request_id="b1")
    assert await world.begin(request_id="b1") == begun
    assert await refused(world.begin()) == ("FAILED_PRECONDITION", "VERIFICATION_OVERLAPS")
    assert await refused(world.begin(request_id="b1", boundary="another")) == ("ALREADY_EXISTS", "REQUEST_ID_REUSED")
    listed = await world.proof.ListVerifications(proof_pb2.ListVerificationsRequest(), metadata=world.auth())
    assert [one.verification_id for one in listed.verifications] == [begun.verification_id]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"source": "nobody"}, "SOURCE_UNKNOWN"),
        ({"baseline_end": from_us(NOW_US + HOUR_US)}, "NOT_YET_MEASURED"),
        ({"baseline_end": from_us(NOW_US - 1)}, "INVALID_ARGUMENT"),
        ({"baseline_end": from_us(NOW_US - BASELINE * HOUR_US)}, "INVALID_ARGUMENT"),
        ({"baseline_start": from_us(NOW_US - HOUR_US)}, "BASELINE_UNMEASURED"),
        ({"driver": "latency_ms"}, "BASELINE_UNMEASURED"),
        ({"driver": ""}, "INVALID_ARGUMENT"),
        ({"driver": "a**b"}, "INVALID_ARGUMENT"),
        ({"model": ""}, "INVALID_ARGUMENT"),
        ({"model": "mean"}, "INVALID_ARGUMENT"),
        ({"ipmvp_option": "D"}, "INVALID_ARGUMENT"),
        ({"boundary": ""}, "INVALID_ARGUMENT"),
        ({"reporting_intervals": 0}, "INVALID_ARGUMENT"),
        ({"pairs": 3}, "INVALID_ARGUMENT"),
        ({"method": "switchback"}, "INVALID_ARGUMENT"),
        (
            {"method": "switchback", "model": "", "reporting_intervals": 0, "pairs": 2, "block_intervals": 4},
            "INVALID_ARGUMENT",
        ),
    ],
)
async def test_what_is_refused_stores_nothing(world, changes, reason):
    assert (await refused(world.begin(**changes)))[1] == reason
    listed = await world.proof.ListVerifications(proof_pb2.ListVerificationsRequest(), metadata=world.auth())
    assert not listed.verifications


async def test_another_tenant_finds_nothing(world):
    begun = await world.begin()
    assert (await refused(world.begin(tenant="other")))[1] == "SOURCE_UNKNOWN"
    assert await refused(world.evaluate(begun, tenant="other")) == ("NOT_FOUND", "VERIFICATION_UNKNOWN")


@pytest.mark.usefixtures("either_database")
async def test_what_nobody_evaluates_evaluates_itself(start):
    async with start(verify_every_s=0.05) as world:
        await world.enrol()
        await world.send(BASELINE)
        world.pass_hours(0.01)
        begun = await world.begin()
        await world.reporting(hours=10, share=1.5)
        await _until(world, begun, "MEASURING")
        await world.reporting(hours=LENGTH, share=1.5)
        found = await _until(world, begun, "REFUTED")
        assert found.saving.creditable == 0.0


async def _until(world, begun, state):
    for _ in range(200):
        found = await world.get(begun)
        if found.state == state:
            return found
        await asyncio.sleep(0.05)
    raise AssertionError(f"{found.state} did not become {state}")


@pytest.mark.usefixtures("either_database")
async def test_records_survive_a_restart_and_altered_ones_do_not_pass(world):
    begun = await world.begin()
    await world.reporting(share=0.9)
    await world.evaluate(begun)
    record = (await world.export(begun)).record
    lie = json.loads(record)
    lie["record"]["result"]["saving_j"] *= 2
    assert check(json.dumps(lie).encode()).problems
    assert not check(record.encode(), json.loads(record)["signature"]["public_key"]).problems
    assert check(record.encode(), "00" * 32).problems
