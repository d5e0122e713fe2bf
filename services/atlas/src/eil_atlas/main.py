"""Wiring of the atlas service."""

import asyncio
import shutil
from pathlib import Path

from eil.atlas.v1 import archive_pb2_grpc, atlas_pb2_grpc
from eil.events.v1 import event_log_pb2
from eil_mesh.server import Mesh, serve
from eil_mesh.store import Store, Tx

from eil_atlas import checkpoints, heads, objects, recorder, segment_index, tables
from eil_atlas.archive import Archive
from eil_atlas.archive_service import ArchiveService
from eil_atlas.cutter import Cutter, Limits
from eil_atlas.folder import Folder
from eil_atlas.learn import TOPICS, Learner
from eil_atlas.lifecycle import tend
from eil_atlas.service import AtlasService
from eil_atlas.settings import AtlasSettings
from eil_atlas.upkeep import forget_states

ARCHIVE_SCHEMA = recorder.SCHEMA + segment_index.SCHEMA + checkpoints.SCHEMA
DAY_S = 86400.0


async def build(mesh: Mesh[AtlasSettings]) -> None:
    settings = mesh.settings
    store = mesh.store(tables.SCHEMA + objects.SCHEMA + heads.SCHEMA + ARCHIVE_SCHEMA)
    contents = open_objects(settings)
    await asyncio.to_thread(contents.clean)
    learner = Learner(settings.lateness_s)

    def handle(tx: Tx, event: event_log_pb2.Event) -> None:
        learner.handle(tx, event)
        recorder.record(tx, event)

    service = AtlasService(store, contents, settings.domain)
    mesh.add("eil.atlas.v1.AtlasService", atlas_pb2_grpc.add_AtlasServiceServicer_to_server, service)
    keep_archive(mesh, store, contents)
    mesh.follow(store, "regime", TOPICS, handle)
    mesh.background(lambda: forget_states(store, mesh.clock, settings.keep_states_days * DAY_S))


def keep_archive(mesh: Mesh[AtlasSettings], store: Store, contents: objects.Objects) -> None:
    """Serve the archive, cut what arrives and let old things go."""
    settings, archive = mesh.settings, Archive(store, contents)
    limits = Limits(settings.lateness_s, settings.segment_cells, settings.uncut_s)
    cutter = Cutter(store, contents, archive, mesh.clock, limits)
    service = ArchiveService(store, contents, archive, _empty(settings.state / "incoming"), settings.largest_object)
    mesh.add("eil.atlas.v1.ArchiveService", archive_pb2_grpc.add_ArchiveServiceServicer_to_server, service)
    mesh.background(cutter.run)
    expire_s = {media_type: days * DAY_S for media_type, days in settings.expire_objects_days.items()}
    mesh.background(lambda: tend(store, contents, mesh.clock, settings.keep_segments_days * DAY_S, expire_s))


def _empty(folder: Path) -> Path:
    """The folder, without what a crash left in it."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, mode=0o700)
    return folder


def open_objects(settings: AtlasSettings) -> objects.Objects:
    """Where the settings say that objects lie."""
    if not settings.objects_url:
        return Folder(settings.state / "objects")
    from eil_atlas.bucket import Bucket  # boto3 is loaded where it is used

    return Bucket(settings.objects_url, settings.s3_endpoint_url, settings.s3_region)


def main() -> None:
    serve(AtlasSettings, build)
