"""The Atlas's archive in time: samples recorded, cut into durable segments and read back, in a folder and in S3."""

import asyncio
import os
import secrets
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from eil.events.v1 import event_log_pb2
from eil.regime.v1 import regime_pb2
from eil_atlas import objects, recorder
from eil_atlas.archive import Archive
from eil_atlas.cutter import Cutter, Limits
from eil_atlas.domain.content import Content, content_of, merge
from eil_atlas.folder import Folder
from eil_atlas.main import SCHEMA
from eil_mesh.clock import SystemClock
from eil_mesh.store import Store
from numpy.typing import NDArray

from eil_cli.bench.report import Measure

BATCH_ROWS = 1000
"""Rows of a record, as an agent that sends every few minutes has them."""
S3_VARIABLE = "AWS_ENDPOINT_URL_S3"
"""Names the S3 server, as boto3 knows it; without, S3 is left out."""
Times = NDArray[np.int64]
Channels = Mapping[str, NDArray[np.float64]]


def bench_archive(times_us: Times, channels: Channels) -> dict[str, Measure]:
    """Samples a second, and what came back altered, by place.

    Args:
        times_us: times (n,) [µs], never falling.
        channels: values (n,) by channel, NaN where missing.
    """
    measures: dict[str, Measure] = {}
    with tempfile.TemporaryDirectory(prefix="eil-bench-") as folder:
        places: dict[str, objects.Objects] = {"folder": Folder(Path(folder, "objects"))}
        with _bucket() as bucket:
            if bucket is not None:
                places["s3"] = bucket
            for name, contents in places.items():
                contents.clean()
                state = Path(folder, name)
                state.mkdir()
                figures = asyncio.run(_measure(state, contents, times_us, channels))
                for what, value in figures.items():
                    gate = (0.0, 0.0) if what == "altered_samples" else (None, None)
                    unit = "" if what == "altered_samples" else "/s"
                    measures[f"archive_{name}_{what}"] = Measure(
                        value, unit, *gate, "lower" if unit == "" else "higher"
                    )
    return measures


async def _measure(state: Path, contents: objects.Objects, times_us: Times, channels: Channels) -> dict[str, float]:
    events = list(_events(times_us, channels))
    told = await asyncio.to_thread(lambda: content_of(merge([(times_us, channels)])))
    clock = SystemClock()
    store = Store(state / "atlas.db", objects.SCHEMA + SCHEMA, clock)
    try:
        archive = Archive(store, contents)
        cutter = Cutter(store, contents, archive, clock, Limits(600.0, 4_000_000, 0.0))
        begun = time.perf_counter()
        for event in events:
            await store.write(lambda tx, event=event: recorder.record(tx, event))
        recorded = time.perf_counter()
        while await cutter.cut_due():
            pass
        cut, kept = time.perf_counter(), Content()
        async for hour in archive.hours("bench", "fleet", 0, 2**62):
            kept += content_of((await archive.read(hour)).samples)
        read = time.perf_counter()
    finally:
        store.close()
    return {
        "altered_samples": float(abs(kept.samples - told.samples) + (kept.digest != told.digest)),
        "record_samples_per_s": told.samples / (recorded - begun),
        "cut_samples_per_s": told.samples / (cut - recorded),
        "read_samples_per_s": told.samples / (read - cut),
    }


def _events(times_us: Times, channels: Channels) -> Iterator[event_log_pb2.Event]:
    """The samples as the regime service's journal tells them."""
    for offset, first in enumerate(range(0, times_us.size, BATCH_ROWS), start=1):
        rows = slice(first, first + BATCH_ROWS)
        record = regime_pb2.TelemetryRecord(source="fleet", times_us=times_us[rows])
        for name, values in channels.items():
            record.columns.add(name=name, values=values[rows])
        yield event_log_pb2.Event(
            offset=offset, tenant="bench", topic=recorder.TELEMETRY_TOPIC, payload=record.SerializeToString()
        )


@contextmanager
def _bucket() -> Iterator[objects.Objects | None]:
    """A bucket of its own on the S3 server that the environment names, gone at the end; None without one."""
    server = os.environ.get(S3_VARIABLE, "")
    if not server:
        yield None
        return
    import boto3
    from eil_atlas.bucket import Bucket

    region = os.environ.get("AWS_REGION", "us-east-1")
    client, name = boto3.client("s3", endpoint_url=server, region_name=region), f"eil-bench-{secrets.token_hex(6)}"
    client.create_bucket(Bucket=name)
    try:
        yield Bucket(f"s3://{name}", server, region)
    finally:
        for page in client.get_paginator("list_objects_v2").paginate(Bucket=name):
            for entry in page.get("Contents", []):
                client.delete_object(Bucket=name, Key=entry["Key"])
        client.delete_bucket(Bucket=name)
