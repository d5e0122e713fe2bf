"""Methods about decisions and their proof."""

import time
import uuid
from collections.abc import Mapping

from eil.decision.v1 import decision_pb2 as pb
from eil.proof.v1 import proof_pb2

from eil_sdk.calls import paged, streamed, unary
from eil_sdk.values import Time, Values, numbers, timestamp


class Decisions:
    """What the decision and proof services do."""

    @unary(lambda to: to.decision.Act)
    def act(
        self,
        goal: str = "minimize_energy",
        *,
        active_servers: int,
        avg_utilization: float,
        settings: Mapping[str, float] | None = None,
        source: str = "",
        max_latency_ms: float = 0.0,
        min_throughput: float = 0.0,
        max_power_w: float = 0.0,
        max_temperature_c: float = 0.0,
        horizon_s: float = 300.0,
        mode: str = "",
        weights: pb.Weights | None = None,
        price_per_kwh: Values = (),
        carbon_g_per_kwh: Values = (),
        series_step_s: float = 3600.0,
        request_id: str | None = None,
    ) -> pb.ActRequest:
        """Ask for the cheapest action that keeps the constraints. Its prediction is committed before it is answered.

        Args:
            goal: minimize_energy, minimize_cost (needs price_per_kwh), minimize_carbon (needs carbon_g_per_kwh), maximize_efficiency, or
                custom (needs weights).
            active_servers: servers that serve now.
            avg_utilization: of each of them [0–1].
            settings: values of other levers now, by name.
            source: whose learned behaviour is used; without one, assumptions are, and the reason names them.
            max_latency_ms: largest latency [ms], kept with a chance of 95 %; 0 is no constraint, here and below.
            min_throughput: smallest throughput that must be servable [1/s].
            max_power_w: largest power [W].
            max_temperature_c: largest temperature [°C].
            horizon_s: how far ahead [s].
            mode: observe, advise, approve or auto: it can only lower the source's own.
            weights: of energy, entropy and irreversibility.
            price_per_kwh: price from now on, a value for each series_step_s.
            carbon_g_per_kwh: carbon intensity from now on, likewise [g/kWh].
            series_step_s: time that each value of the two counts [s].
            request_id: the mesh keeps the answer under it for 7 days, so that asking again counts once; absent is a new one.

        Raises:
            NotFound: the source never sent a sample.
            AlreadyExists: the request id was used for another question.
        """
        return pb.ActRequest(
            goal=goal,
            constraints=pb.Constraints(
                max_latency_ms=max_latency_ms,
                min_throughput=min_throughput,
                max_power_w=max_power_w,
                max_temperature_c=max_temperature_c,
            ),
            current_state=pb.CurrentState(
                active_servers=active_servers, avg_utilization=avg_utilization, settings=settings
            ),
            source=source,
            horizon_s=horizon_s,
            mode=mode,
            weights=weights,
            price_per_kwh=numbers(price_per_kwh, "price_per_kwh"),
            carbon_g_per_kwh=numbers(carbon_g_per_kwh, "carbon_g_per_kwh"),
            series_step_s=series_step_s,
            request_id=_id(request_id),
        )

    @unary(lambda to: to.decision.GetDecision, lambda answer: answer.decision)
    def decision(self, prediction_id: str) -> pb.GetDecisionRequest:
        """A decision as it stands in the journal.

        Raises:
            NotFound: it was never issued to this tenant.
        """
        return pb.GetDecisionRequest(prediction_id=prediction_id)

    @paged(lambda to: to.decision.ListDecisions, lambda page: page.decisions)
    def decisions(self, source: str = "", *, page_size: int = 100) -> pb.ListDecisionsRequest:
        """Decisions about a source, or all, newest first."""
        return pb.ListDecisionsRequest(source=source, page_size=page_size)

    @unary(lambda to: to.decision.GetDecisionTree, lambda answer: answer.root)
    def explain(self, prediction_id: str) -> pb.GetDecisionTreeRequest:
        """A decision as a tree: the question, every candidate with why it won or lost, and what became of the action.

        Raises:
            NotFound: it was never issued to this tenant.
        """
        return pb.GetDecisionTreeRequest(prediction_id=prediction_id)

    @streamed(lambda to: to.decision.StreamActions)
    def actions(self, source: str = "") -> pb.StreamActionsRequest:
        """Actions to carry out on a source, or on all, from now on. Each is a lease: go back to `revert_to_servers` when it has lapsed.

        Raises:
            EilError: the stream broke; ask again. An action that was missed lapses, and the next one says what is wanted.
        """
        return pb.StreamActionsRequest(source=source)

    @unary(lambda to: to.proof.Prove)
    def prove(
        self,
        decision: pb.ActResponse | pb.Decision,
        *,
        energy: float,
        entropy: float,
        timestamp: Time | None = None,
        request_id: str | None = None,
    ) -> proof_pb2.ProveRequest:
        """Ask whether a decision's prediction came true. The outcome is measured: what is given here is compared with that, not believed.

        Args:
            decision: as `act` or `decision` answered it.
            energy: what the caller's own meter says of the window [J].
            entropy: entropy generated in it [J/K].
            timestamp: when the outcome was read; absent is now.
            request_id: as of `act`.

        Raises:
            NotFound: the prediction was never issued, as that of a decision in mode `observe`.
            FailedPrecondition: NOT_YET_MEASURED before the window is over; PREDICTION_ALTERED, REPORT_CONTRADICTED. Nothing is stored.
        """
        answer = decision.response if isinstance(decision, pb.Decision) else decision
        return proof_pb2.ProveRequest(
            prediction_id=answer.prediction_id,
            predicted_state=proof_pb2.State(
                energy=answer.predicted_state.energy, entropy=answer.predicted_state.entropy
            ),
            actual_state=proof_pb2.State(energy=energy, entropy=entropy),
            timestamp=_stamp(time.time() if timestamp is None else timestamp, "timestamp"),
            request_id=_id(request_id),
        )

    @unary(lambda to: to.proof.GetProof, lambda answer: answer.verdict)
    def proof(self, prediction_id: str) -> proof_pb2.GetProofRequest:
        """The verdict on a prediction.

        Raises:
            NotFound: there is none.
        """
        return proof_pb2.GetProofRequest(prediction_id=prediction_id)

    @paged(lambda to: to.proof.ListProofs, lambda page: page.verdicts)
    def proofs(self, source: str = "", *, page_size: int = 100) -> proof_pb2.ListProofsRequest:
        """Verdicts on a source's predictions, or on all, newest first."""
        return proof_pb2.ListProofsRequest(source=source, page_size=page_size)


def _id(given: str | None) -> str:
    return str(uuid.uuid4()) if given is None else given


_stamp = timestamp  # `timestamp` is an argument's name above
