"""Wiring of the regime service."""

from eil.common.v1 import relay_pb2_grpc
from eil.regime.v1 import regime_pb2_grpc
from eil_mesh.erasure import retire_payloads
from eil_mesh.front import Behind
from eil_mesh.server import Mesh, serve

from eil_regime import deletion, segments, sources, tails
from eil_regime.compiled import compile_kernels
from eil_regime.doors.service import serve_doors
from eil_regime.doors.store import SCHEMA as DOORS
from eil_regime.doors.store import Doors
from eil_regime.gather import Gather
from eil_regime.ingest import TELEMETRY_TOPIC, Ingest
from eil_regime.refusals import Limits
from eil_regime.service import RegimeService
from eil_regime.settings import RegimeSettings
from eil_regime.upkeep import forget_samples, identify_nodes


async def build(mesh: Mesh[RegimeSettings]) -> None:
    settings = mesh.settings
    # Telemetry may lose its last second to a power loss: no fsync for each batch.
    schema = sources.SCHEMA + segments.SCHEMA + tails.SCHEMA + deletion.SCHEMA + DOORS
    store = mesh.store(schema, durable=False)
    limits = Limits(settings.window_s, settings.future_s, settings.lateness_s, settings.keep_states_days * 86400)
    ingest = Ingest(limits)
    gather = Gather(store, ingest)
    service = RegimeService(store, ingest, gather, mesh.meter, settings.lateness_s)
    mesh.add("eil.regime.v1.RegimeService", regime_pb2_grpc.add_RegimeServiceServicer_to_server, service)
    behind = Behind("regime", service)
    mesh.add("eil.common.v1.RelayService", relay_pb2_grpc.add_RelayServiceServicer_to_server, behind)
    serve_doors(mesh, Doors(store, ingest, limits, settings.door_part_w, settings.door_sources))
    if tenants := settings.inbox_tenants():
        from eil_regime.inbox import inbox  # Kafka's client is loaded where it is used

        mesh.run_follower(store, inbox(settings, store, ingest, tenants))
    mesh.background(gather.run)
    mesh.background(lambda: identify_nodes(store, settings.fit_every_s))
    keep_s = settings.keep_samples_days * 86400
    mesh.background(lambda: forget_samples(store, ingest, mesh.clock, keep_s))
    mesh.background(lambda: retire_payloads(store, mesh.clock, TELEMETRY_TOPIC, keep_s))


def main() -> None:
    compile_kernels()  # before the door opens: the first sample must not wait for it
    serve(RegimeSettings, build)
