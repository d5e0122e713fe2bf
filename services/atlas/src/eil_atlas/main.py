"""Wiring of the atlas service."""

import asyncio

from eil.atlas.v1 import atlas_pb2_grpc
from eil_mesh.server import Mesh, serve

from eil_atlas import heads, objects, tables
from eil_atlas.folder import Folder
from eil_atlas.learn import TOPICS, Learner
from eil_atlas.service import AtlasService
from eil_atlas.settings import AtlasSettings
from eil_atlas.upkeep import forget_states


async def build(mesh: Mesh[AtlasSettings]) -> None:
    settings = mesh.settings
    store = mesh.store(tables.SCHEMA + objects.SCHEMA + heads.SCHEMA)
    contents = open_objects(settings)
    await asyncio.to_thread(contents.clean)
    learner = Learner(settings.lateness_s)
    service = AtlasService(store, contents, settings.domain)
    mesh.add("eil.atlas.v1.AtlasService", atlas_pb2_grpc.add_AtlasServiceServicer_to_server, service)
    mesh.follow(store, "regime", TOPICS, learner.handle)
    mesh.background(lambda: forget_states(store, mesh.clock, settings.keep_states_days * 86400))


def open_objects(settings: AtlasSettings) -> objects.Objects:
    """Where the settings say that objects lie."""
    if not settings.objects_url:
        return Folder(settings.state / "objects")
    from eil_atlas.bucket import Bucket  # boto3 is loaded where it is used

    return Bucket(settings.objects_url, settings.s3_endpoint_url, settings.s3_region)


def main() -> None:
    serve(AtlasSettings, build)
