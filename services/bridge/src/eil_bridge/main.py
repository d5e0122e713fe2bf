"""Wiring of the bridge."""

import time

from eil_mesh.server import Mesh, serve
from eil_mesh.services import SERVICES

from eil_bridge.agents import Agents
from eil_bridge.health import Health
from eil_bridge.settings import BridgeSettings
from eil_bridge.stream import Streams
from eil_bridge.token_endpoint import Tokens
from eil_bridge.web import HttpServer, application


async def build(mesh: Mesh[BridgeSettings]) -> None:
    settings = mesh.settings
    health = Health(mesh.peers, SERVICES[settings.service].calls, time.monotonic)
    streams = Streams(mesh.peers, mesh.verifier, mesh.clock, settings)
    agents = Agents(mesh.peers, mesh.verifier, settings)
    tokens = Tokens((settings.state / settings.jwks).parent, lambda: mesh.clock.now_us() / 1e6)
    server = HttpServer(application(health, streams, agents, tokens), settings)
    await server.start()
    mesh.background(lambda: server.run(streams.stop))


def main() -> None:
    serve(BridgeSettings, build)
