"""Gives verdicts: fetches the commitment and the measurement, applies the tri-check and the rules of minting, stores the outcome once."""

from __future__ import annotations

from collections.abc import Callable

import structlog
from eil.decision.v1 import decision_pb2, decision_pb2_grpc
from eil.proof.v1 import proof_pb2
from eil.regime.v1 import regime_pb2, regime_pb2_grpc
from eil_mesh.clock import from_us, iso, to_us
from eil_mesh.errors import FailedPrecondition
from eil_mesh.reward import MICRO
from eil_mesh.store import Store, Tx

from eil_proof import verdicts
from eil_proof.domain.minting import CONFIDENCE_DIGITS, Claim, Reward, reward
from eil_proof.domain.tri_check import MIN_COVERAGE, Measured, State, Verdict, contradicts, tri_check
from eil_proof.minter import Minter

log = structlog.get_logger("eil.proof")

CHECK_NAMES = {"energy_conservation": "energy", "entropy_valid": "entropy", "feasibility_check": "feasibility"}
"""Names of the physics' checks → names of the tri-check's."""


class Judge:
    """Judges predictions of whatever tenant the current call stands for."""

    def __init__(
        self,
        store: Store,
        regime: regime_pb2_grpc.RegimeServiceAsyncStub,
        decision: decision_pb2_grpc.DecisionServiceAsyncStub,
        minter: Minter,
        daily_cap_u: int,
    ) -> None:
        self._store, self._regime, self._decision = store, regime, decision
        self._minter, self._daily_cap_u = minter, daily_cap_u

    async def commitment(self, prediction_id: str) -> decision_pb2.Decision:
        """The committed decision.

        Raises:
            grpc.aio.AioRpcError: NOT_FOUND if it was never issued to this tenant.
        """
        request = decision_pb2.GetDecisionRequest(prediction_id=prediction_id)
        return (await self._decision.GetDecision(request)).decision

    async def prove(self, tenant: str, decision: decision_pb2.Decision, reported: State) -> proof_pb2.Verdict:
        """The verdict on a prediction that somebody asks to have proved.

        Raises:
            FailedPrecondition: NOT_YET_MEASURED or REPORT_CONTRADICTED; nothing is stored.
        """
        if not decision.request.source:
            return await self._give(tenant, decision, _self_reported(decision, reported), None)
        measurement = await self._measure(decision)
        covered = measurement.covered_s >= MIN_COVERAGE * measurement.window_s
        if not measurement.complete or (not covered and not measurement.settled):
            raise _not_yet(decision, measurement)
        if covered and contradicts(reported, _measured(measurement)):
            raise FailedPrecondition(
                f"actual_state says {reported.energy_j:.1f} J but {measurement.energy:.1f} ± "
                f"{measurement.energy_uncertainty:.1f} J were measured; nothing was judged: check the meter and the window "
                f"{iso(to_us(decision.window_start))} to {iso(to_us(decision.window_end))}, then send it again",
                reason="REPORT_CONTRADICTED",
                violations={"actual_state.energy": "contradicts the measurement"},
            )
        return await self._judge(tenant, decision, measurement, settled_by_mesh=False)

    async def settle(self, tenant: str, decision: decision_pb2.Decision) -> bool:
        """Judge a prediction that nobody proved, once its window is final; whether it was final."""
        measurement = await self._measure(decision)
        if measurement.settled:
            await self._judge(tenant, decision, measurement, settled_by_mesh=True)
        return measurement.settled

    async def _measure(self, decision: decision_pb2.Decision) -> regime_pb2.MeasureResponse:
        return await self._regime.Measure(
            regime_pb2.MeasureRequest(
                source=decision.request.source,
                start=decision.window_start,
                end=decision.window_end,
                received_after=decision.committed,
            )
        )

    async def _judge(
        self,
        tenant: str,
        decision: decision_pb2.Decision,
        measurement: regime_pb2.MeasureResponse,
        *,
        settled_by_mesh: bool,
    ) -> proof_pb2.Verdict:
        if measurement.covered_s < MIN_COVERAGE * measurement.window_s:
            verdict = _verdict(decision, "unmeasured", settled_by_mesh)
            share = measurement.covered_s / measurement.window_s
            verdict.response.reason = (
                f"only {share:.0%} of the window was measured: nothing was proven and nothing is minted"
            )
            return await self._give(tenant, decision, verdict, None)
        predicted = decision.response.predicted_state
        interval = (predicted.energy_low, predicted.energy_high)
        checked = tri_check(State(predicted.energy, predicted.entropy), _measured(measurement), interval)
        verdict = _verdict(decision, "measured", settled_by_mesh)
        _fill(verdict.response, checked, State(measurement.energy, measurement.entropy))

        def rewarded(tx: Tx) -> Reward:
            cap_left_u = self._daily_cap_u - verdicts.earned_today_u(
                tx.conn, tenant, decision.request.source, tx.now_us
            )
            return reward(checked, _claim(tenant, decision, measurement, interval, cap_left_u))

        return await self._give(tenant, decision, verdict, rewarded)

    async def _give(
        self,
        tenant: str,
        decision: decision_pb2.Decision,
        verdict: proof_pb2.Verdict,
        rewarded: Callable[[Tx], Reward] | None,
    ) -> proof_pb2.Verdict:
        """Store the verdict with its reward in one transaction; if one stands already, that one is the answer."""
        response = verdict.response

        def give(tx: Tx) -> tuple[proof_pb2.Verdict, bool]:
            if known := verdicts.find(tx.conn, tenant, response.prediction_id):
                return known, True
            if rewarded is not None:
                earned = rewarded(tx)
                verdict.earned_u, verdict.minted_u = earned.earned_u, earned.amount_u
                response.pft_minted = earned.amount_u / MICRO
                verdict.winkler, verdict.winkler_baseline = earned.winkler, earned.winkler_baseline
                response.reason = f"{response.reason}; {earned.reason}" if response.valid else earned.reason
            verdict.time.CopyFrom(from_us(tx.now_us))
            verdicts.give(tx, tenant, decision.asked_by, verdict)
            return verdict, False

        given, stood = await self._store.write(give)
        if not stood:
            said = given.response
            log.info("judged", prediction=said.prediction_id, valid=said.valid, pft=said.pft_minted, why=said.reason)
        owed = verdicts.Owed(tenant, decision.asked_by, given)
        if not stood and given.minted_u and (why_not := (await self._minter.book(owed)).why_not):
            given.response.reason += f"; {why_not}"
        given.response.already_proven = stood
        return given


def _measured(measurement: regime_pb2.MeasureResponse) -> Measured:
    checks = measurement.checks
    untested = {CHECK_NAMES[name] for name in checks.untested} - {"energy"}
    # The energy check compares with the meter; it needs no thermal node, but it does need a meter.
    if measurement.power_method == "MODELLED":
        untested.add("energy")
    return Measured(
        state=State(measurement.energy, measurement.entropy),
        u_energy_j=measurement.energy_uncertainty,
        coverage=min(measurement.covered_s / measurement.window_s, 1.0),
        first_law_holds=checks.energy_conservation,
        second_law_holds=checks.entropy_valid,
        feasible=checks.feasibility_check,
        untested=frozenset(untested),
    )


def _claim(
    tenant: str,
    decision: decision_pb2.Decision,
    measurement: regime_pb2.MeasureResponse,
    interval: tuple[float, float],
    cap_left_u: int,
) -> Claim:
    return Claim(
        tenant=tenant,
        kind=measurement.kind,
        own_credential=measurement.own_credential,
        largest_delay_s=measurement.largest_delay_s,
        may_mint=decision.may_mint,
        interval=interval,
        baseline=(decision.baseline_low, decision.baseline_high),
        measured_energy_j=measurement.energy,
        cap_left_u=cap_left_u,
    )


def _verdict(decision: decision_pb2.Decision, evidence: str, settled_by_mesh: bool) -> proof_pb2.Verdict:
    return proof_pb2.Verdict(
        response=proof_pb2.ProveResponse(
            prediction_id=decision.response.prediction_id,
            evidence=evidence,
            expected_energy_savings=decision.response.action.expected_energy_savings,
        ),
        source=decision.request.source,
        settled_by_mesh=settled_by_mesh,
        window_start=decision.window_start,
        window_end=decision.window_end,
        predicted_energy=decision.response.predicted_state.energy,
        purpose=decision.purpose,
    )


def _fill(response: proof_pb2.ProveResponse, checked: Verdict, measured: State) -> None:
    response.valid = checked.valid
    response.energy_error, response.entropy_error = checked.energy_error_percent, checked.entropy_error_percent
    response.confidence_score = round(checked.confidence, CONFIDENCE_DIGITS)
    response.measured_energy, response.measured_entropy = measured.energy_j, measured.entropy_j_per_k
    response.reason = checked.reason
    response.checks.CopyFrom(
        proof_pb2.TriCheck(
            energy=checked.energy,
            entropy=checked.entropy,
            feasibility=checked.feasibility,
            untested=sorted(checked.untested),
        )
    )


def _self_reported(decision: decision_pb2.Decision, reported: State) -> proof_pb2.Verdict:
    """A prediction without a source: the caller's figures are compared, marked and not rewarded."""
    predicted = decision.response.predicted_state
    untested = frozenset({"entropy", "feasibility"})
    checked = tri_check(
        State(predicted.energy, predicted.entropy),
        Measured(reported, untested=untested),
        (predicted.energy_low, predicted.energy_high),
    )
    verdict = _verdict(decision, "self_reported", settled_by_mesh=False)
    _fill(verdict.response, checked, reported)
    verdict.response.reason += "; the prediction names no source, so nothing was measured and nothing is minted"
    return verdict


def _not_yet(decision: decision_pb2.Decision, measurement: regime_pb2.MeasureResponse) -> FailedPrecondition:
    end_us, clock_us = to_us(decision.window_end), to_us(measurement.clock)
    if not measurement.complete:
        text = (
            f"the window ends at {iso(end_us)} but the source's clock stands at {iso(clock_us)}: "
            "the outcome is not measured yet; send the telemetry, then the proof"
        )
    else:
        text = (
            f"only {measurement.covered_s:.0f} s of the window's {measurement.window_s:.0f} s are measured by samples received after the "
            "commitment; send the missing telemetry (10 minutes of the source's clock remain), then the proof"
        )
    wait_s = max((end_us - clock_us) / 1e6, 1.0)
    return FailedPrecondition(text + "; nothing was judged", reason="NOT_YET_MEASURED", retry_after_s=wait_s)
