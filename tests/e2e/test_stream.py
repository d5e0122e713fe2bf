"""The stream through the door: many clients, and one that comes back after the bridge was killed."""

import asyncio
import json
import ssl
from typing import Any

import websockets
from eil_cli.bench.gateway_clients import measure_fanout
from support.mesh import RunningMesh

TENANT = "streams"


def test_every_client_gets_every_event_once(mesh: RunningMesh):
    found = measure_fanout(mesh.endpoint, clients=60, events=5, per_s=5)
    assert (len(found.latencies_ms), found.missing, found.repeated) == (300, 0, 0)


async def test_nothing_is_missed_although_the_bridge_was_killed(mesh: RunningMesh, stamp: Any):
    door, bearer = mesh.door("operator", tenant=TENANT), mesh.token("viewer", tenant=TENANT)
    tls = ssl.create_default_context(cafile=mesh.endpoint.ca)
    url = f"{mesh.endpoint.url.replace('https', 'wss')}/v1/stream?topics=eil.sense.telemetry&source=kept&access_token={bearer}"

    def sense(number: int) -> None:
        body = {"source": "kept", "timestamp": stamp(number), "telemetry": {"power_draw": float(number)}}
        door.call("POST", "/v1/sense", body)

    async def read(websocket: Any, last: int) -> list[dict[str, Any]]:
        events = list[dict[str, Any]]()
        while not events or events[-1]["payload"]["columns"][0]["values"] != [float(last)]:
            events.append(json.loads(await websocket.recv()))
        return events

    async with asyncio.timeout(60), websockets.connect(url, ssl=tls) as websocket:
        await asyncio.sleep(2.0)  # from here on the journals are followed
        for number in range(3):
            await asyncio.to_thread(sense, number)
        seen = await read(websocket, 2)
        await asyncio.to_thread(mesh.kill, "bridge")
    for number in range(3, 8):
        await asyncio.to_thread(sense, number)
    async with asyncio.timeout(60):
        async for websocket in websockets.connect(f"{url}&last_id={seen[-1]['id']}", ssl=tls):
            seen += await read(websocket, 7)
            break
    assert [event["payload"]["columns"][0]["values"] for event in seen] == [[float(number)] for number in range(8)]
