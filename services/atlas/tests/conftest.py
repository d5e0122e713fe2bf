"""Places of objects: a folder, and a bucket of a real S3 server where there is one."""

import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from eil_atlas.folder import Folder
from support.places import Files, Keys, Place, bucket_of


@pytest.fixture
def folder(tmp_path: Path) -> Place:
    made = Folder(tmp_path / "objects")
    made.clean()
    return Place(made, Files(tmp_path / "objects"))


@pytest.fixture
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testtest")


@pytest.fixture
def s3(credentials: None) -> Iterator[Keys]:
    """A bucket of its own, gone at the end."""
    if not (server := os.environ.get("EIL_TEST_S3", "")):
        pytest.skip("no S3 server: set EIL_TEST_S3")
    client = boto3.client("s3", endpoint_url=server, region_name="us-east-1")
    keys = Keys(client, f"test-{os.getpid()}-{time.monotonic_ns()}", "mesh/")
    client.create_bucket(Bucket=keys.bucket)
    yield keys
    keys.prefix = ""
    for name in keys.names():
        keys.remove(name)
    client.delete_bucket(Bucket=keys.bucket)


@pytest.fixture(params=["folder", "s3"])
def place(request: pytest.FixtureRequest) -> Place:
    if request.param == "folder":
        return request.getfixturevalue("folder")
    s3 = request.getfixturevalue("s3")
    made = bucket_of(s3)
    made.clean()
    return Place(made, s3)


@pytest.fixture
def nowhere() -> str:
    """Address where nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{taken.getsockname()[1]}"
