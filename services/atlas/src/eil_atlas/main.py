"""Wiring of the atlas service."""

import asyncio
import shutil
from pathlib import Path

from eil.atlas.v1 import archive_pb2_grpc, atlas_pb2_grpc, consistency_pb2_grpc
from eil.events.v1 import event_log_pb2_grpc
from eil_mesh.clock import MICROSECONDS
from eil_mesh.follower import Follower
from eil_mesh.server import Mesh, serve
from eil_mesh.store import Store

from eil_atlas import (
    checkpoints,
    erased,
    heads,
    objects,
    outbox,
    recorder,
    segment_index,
    store_graph,
    tables,
    topology,
)
from eil_atlas.answers import Answers
from eil_atlas.archive import Archive
from eil_atlas.archive_service import ArchiveService
from eil_atlas.comparison import Sides
from eil_atlas.consistency import Validator
from eil_atlas.consistency_schedule import verify_for_ever
from eil_atlas.consistency_service import ConsistencyService
from eil_atlas.cutter import Cutter, Limits
from eil_atlas.folder import Folder
from eil_atlas.following import TOPICS, Handler
from eil_atlas.graph import Graph
from eil_atlas.lifecycle import tend
from eil_atlas.migration import migrate
from eil_atlas.service import AtlasService
from eil_atlas.settings import AtlasSettings
from eil_atlas.store_graph import StoreGraph
from eil_atlas.upkeep import Retention, forget_old, roll_up

DAY_S = 86400.0
GATHER_S = 0.25
"""How long telemetry waits to be learned from together: its states are a minute long."""
SCHEMA = (
    tables.SCHEMA
    + topology.SCHEMA
    + store_graph.SCHEMA
    + outbox.SCHEMA
    + objects.SCHEMA
    + heads.SCHEMA
    + recorder.SCHEMA
    + segment_index.SCHEMA
    + checkpoints.SCHEMA
    + erased.SCHEMA
)


async def build(mesh: Mesh[AtlasSettings]) -> None:
    settings = mesh.settings
    migrate(settings.state / "atlas.db", round(settings.lateness_s * MICROSECONDS))
    store = mesh.store(SCHEMA)
    contents = open_objects(settings)
    await asyncio.to_thread(contents.clean)
    graph = await open_graph(mesh, store)
    keep_graph(mesh, store, graph, contents)
    cutter = keep_archive(mesh, store, contents)
    handler = Handler(graph, settings.lateness_s)
    follower = mesh.follow(store, "regime", TOPICS, handler.handle, handle_page=handler.handle_page, gather_s=GATHER_S)
    keep_consistent(mesh, Sides(store, cutter.archive, Answers(store, graph)), follower, cutter, contents)


def keep_graph(mesh: Mesh[AtlasSettings], store: Store, graph: Graph, contents: objects.Objects) -> None:
    """Serve the graph, roll it up and let old things go."""
    settings = mesh.settings
    service = AtlasService(store, contents, Answers(store, graph), mesh.clock, settings.domain)
    mesh.add("eil.atlas.v1.AtlasService", atlas_pb2_grpc.add_AtlasServiceServicer_to_server, service)
    keep = Retention(
        settings.keep_states_days * DAY_S, settings.keep_hours_days * DAY_S, settings.keep_days_days * DAY_S
    )
    mesh.background(lambda: roll_up(graph, mesh.clock, settings.lateness_s))
    mesh.background(lambda: forget_old(store, graph, mesh.clock, keep))


def keep_archive(mesh: Mesh[AtlasSettings], store: Store, contents: objects.Objects) -> Cutter:
    """Serve the archive, cut what arrives and let old things go."""
    settings, archive = mesh.settings, Archive(store, contents)
    limits = Limits(settings.lateness_s, settings.segment_cells, settings.uncut_s)
    cutter = Cutter(store, contents, archive, mesh.clock, limits)
    service = ArchiveService(store, contents, archive, _empty(settings.state / "incoming"), settings.largest_object)
    mesh.add("eil.atlas.v1.ArchiveService", archive_pb2_grpc.add_ArchiveServiceServicer_to_server, service)
    mesh.background(cutter.run)
    expire_s = {media_type: days * DAY_S for media_type, days in settings.expire_objects_days.items()}
    mesh.background(lambda: tend(store, contents, mesh.clock, settings.keep_segments_days * DAY_S, expire_s))
    return cutter


def keep_consistent(
    mesh: Mesh[AtlasSettings], sides: Sides, follower: Follower, cutter: Cutter, contents: objects.Objects
) -> None:
    """Compare log, graph and segments, on schedule and when asked to."""
    settings = mesh.settings
    journal = mesh.peers.stub(event_log_pb2_grpc.EventLogServiceStub, "regime")
    keep_s = min(settings.keep_states_days, settings.keep_segments_days) * DAY_S
    validator = Validator(
        sides,
        follower,
        cutter,
        contents,
        journal,
        mesh.clock,
        settings.state / "verifying",
        SCHEMA,
        settings.lateness_s,
        keep_s,
    )
    service = ConsistencyService(validator)
    interface = "eil.atlas.v1.ConsistencyService"
    mesh.add(interface, consistency_pb2_grpc.add_ConsistencyServiceServicer_to_server, service)
    every_s, since_s, repair = settings.verify_every_s, settings.verify_since_s, settings.verify_repair
    mesh.background(lambda: verify_for_ever(validator, mesh.clock, every_s, since_s, repair=repair))


def _empty(folder: Path) -> Path:
    """The folder, without what a crash left in it."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, mode=0o700)
    return folder


async def open_graph(mesh: Mesh[AtlasSettings], store: Store) -> Graph:
    """The graph where the settings say that it is, with what must run beside it."""
    if not mesh.settings.neo4j_url:
        return StoreGraph(store)
    from eil_atlas.neo4j_graph import Neo4jGraph, connect  # the driver is loaded where it is used

    graph = Neo4jGraph(store, connect(mesh.settings), mesh.settings)
    await graph.open()
    mesh.background(graph.write_for_ever)
    mesh.on_drain(graph.close)
    return graph


def open_objects(settings: AtlasSettings) -> objects.Objects:
    """Where the settings say that objects lie."""
    if not settings.objects_url:
        return Folder(settings.state / "objects")
    from eil_atlas.bucket import Bucket  # boto3 is loaded where it is used

    return Bucket(settings.objects_url, settings.s3_endpoint_url, settings.s3_region)


def main() -> None:
    serve(AtlasSettings, build)
