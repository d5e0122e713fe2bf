"""Wiring of the regime service."""

from eil.regime.v1 import regime_pb2_grpc
from eil_mesh.erasure import retire_payloads
from eil_mesh.server import Mesh, serve

from eil_regime import deletion, segments, sources
from eil_regime.compiled import compile_kernels
from eil_regime.ingest import TELEMETRY_TOPIC, Ingest
from eil_regime.refusals import Limits
from eil_regime.service import RegimeService
from eil_regime.settings import RegimeSettings
from eil_regime.upkeep import forget_samples, identify_nodes


async def build(mesh: Mesh[RegimeSettings]) -> None:
    settings = mesh.settings
    # Telemetry may lose its last second to a power loss: no fsync for each batch.
    store = mesh.store(sources.SCHEMA + segments.SCHEMA + deletion.SCHEMA, durable=False)
    limits = Limits(settings.window_s, settings.future_s, settings.lateness_s, settings.keep_states_days * 86400)
    ingest = Ingest(limits)
    service = RegimeService(store, ingest, settings.lateness_s)
    mesh.add("eil.regime.v1.RegimeService", regime_pb2_grpc.add_RegimeServiceServicer_to_server, service)
    if tenants := settings.inbox_tenants():
        from eil_regime.inbox import inbox  # Kafka's client is loaded where it is used

        mesh.run_follower(store, inbox(settings, store, ingest, tenants))
    mesh.background(lambda: identify_nodes(store, settings.fit_every_s))
    keep_s = settings.keep_samples_days * 86400
    mesh.background(lambda: forget_samples(store, mesh.clock, keep_s))
    mesh.background(lambda: retire_payloads(store, mesh.clock, TELEMETRY_TOPIC, keep_s))


def main() -> None:
    compile_kernels()  # before the door opens: the first sample must not wait for it
    serve(RegimeSettings, build)
