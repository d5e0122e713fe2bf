"""What every place of objects promises, in a folder and in a bucket of a real S3 server; and what is each one's own."""

import hashlib
import os
from pathlib import Path
from typing import Any

import grpc
import pytest
from botocore.client import BaseClient
from botocore.exceptions import EndpointConnectionError
from eil.atlas.v1 import atlas_pb2, atlas_pb2_grpc
from eil_atlas.bucket import Bucket
from eil_atlas.folder import Folder
from eil_atlas.main import build, open_objects
from eil_atlas.objects import name_of
from eil_atlas.settings import AtlasSettings
from eil_mesh.errors import DataLoss, FailedPrecondition, Unavailable
from eil_mesh.status import reason_of
from eil_mesh.testing import metadata, running, token
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from support.places import Keys, Place, bucket_of

CONTENT = b"weights"
DIGEST = hashlib.sha256(CONTENT).hexdigest()
BIG = bytes(range(256)) * (20 * 1024 * 1024 // 256)
EVIL = "../evil"
OLD_S = -5.0
"""An age that everything has passed: an S3 server tells its time in whole seconds."""


def test_an_object_lies_under_its_digest_in_its_tenants_part(place: Place):
    assert place.objects.put(EVIL, CONTENT) == DIGEST
    tenant = hashlib.sha256(EVIL.encode()).hexdigest()[:32]
    assert place.behind.names() == [f"{tenant}/{DIGEST[:2]}/{DIGEST}"]
    assert place.objects.get(EVIL, DIGEST) == CONTENT


def test_the_same_content_again_is_one_object(place: Place):
    assert place.objects.put("a", CONTENT) == place.objects.put("a", CONTENT)
    assert place.behind.names() == [name_of("a", DIGEST)]
    assert place.objects.get("a", DIGEST) == CONTENT


def test_tenants_are_apart(place: Place):
    place.objects.put("a", CONTENT)
    with pytest.raises(DataLoss):
        place.objects.get("b", DIGEST)
    place.objects.put("b", CONTENT)
    assert len(place.behind.names()) == 2
    place.behind.remove(name_of("a", DIGEST))
    assert place.objects.get("b", DIGEST) == CONTENT


@pytest.mark.parametrize("damage", [b"", CONTENT[:3], b"weightz", CONTENT + b"\n"])
def test_damage_is_data_loss_until_the_content_is_put_again(place: Place, damage: bytes):
    place.objects.put("a", CONTENT)
    place.behind.alter(name_of("a", DIGEST), damage)
    with pytest.raises(DataLoss) as caught:
        place.objects.get("a", DIGEST)
    assert caught.value.reason == "OBJECT_DAMAGED"
    place.objects.put("a", CONTENT)
    assert place.objects.get("a", DIGEST) == CONTENT


def test_a_lost_content_is_data_loss(place: Place):
    place.objects.put("a", CONTENT)
    place.behind.remove(name_of("a", DIGEST))
    with pytest.raises(DataLoss) as caught:
        place.objects.get("a", DIGEST)
    assert caught.value.reason == "OBJECT_LOST"


def test_a_big_content_comes_back_and_a_truncated_one_does_not(place: Place):
    digest = place.objects.put("a", BIG)
    assert place.objects.get("a", digest) == BIG
    place.behind.alter(name_of("a", digest), BIG[:-1])
    with pytest.raises(DataLoss) as caught:
        place.objects.get("a", digest)
    assert caught.value.reason == "OBJECT_DAMAGED"


@pytest.mark.parametrize("content", [CONTENT, BIG])
def test_a_file_is_stored_like_a_content_and_opened_like_one(place: Place, tmp_path: Path, content: bytes):
    path = tmp_path / "incoming"
    path.write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    place.objects.put_file("a", path, digest)
    assert place.objects.get("a", digest) == content
    with place.objects.open("a", digest, tmp_path) as file:
        assert file.read() == content
    assert place.behind.names() == [name_of("a", digest)]


def test_what_is_opened_is_checked(place: Place, tmp_path: Path):
    with pytest.raises(DataLoss) as caught:
        place.objects.open("a", DIGEST, tmp_path)
    assert caught.value.reason == "OBJECT_LOST"
    place.objects.put("a", CONTENT)
    place.behind.alter(name_of("a", DIGEST), CONTENT[:-1])
    with pytest.raises(DataLoss) as caught:
        place.objects.open("a", DIGEST, tmp_path)
    assert caught.value.reason == "OBJECT_DAMAGED"


def test_contents_are_removed_by_age_and_what_is_no_content_stays(place: Place):
    place.objects.put("a", CONTENT)
    place.behind.alter("others", b"theirs")
    name = name_of("a", DIGEST)
    assert list(place.objects.older(60.0)) == []
    assert not place.objects.remove(name, 60.0)
    assert list(place.objects.older(OLD_S)) == [name]
    assert place.objects.remove(name, OLD_S)
    assert place.behind.names() == ["others"]


def test_what_is_put_again_is_young(folder: Place, tmp_path: Path):
    folder.objects.put("a", CONTENT)
    path = tmp_path / "objects" / name_of("a", DIGEST)
    os.utime(path, (1.0, 1.0))
    assert list(folder.objects.older(60.0)) == [name_of("a", DIGEST)]
    folder.objects.put("a", CONTENT)
    assert list(folder.objects.older(60.0)) == []
    assert not folder.objects.remove(name_of("a", DIGEST), 60.0)


def test_what_is_being_put_is_not_removed_from_the_bucket(s3: Keys, monkeypatch: pytest.MonkeyPatch):
    bucket, name, removed = bucket_of(s3), name_of("a", DIGEST), []
    bucket.put("a", CONTENT)
    upload = bucket._client.upload_fileobj

    def meanwhile(*arguments: Any, **rest: Any) -> None:
        removed.append(bucket.remove(name, OLD_S))
        upload(*arguments, **rest)
        removed.append(bucket.remove(name, OLD_S))

    monkeypatch.setattr(bucket._client, "upload_fileobj", meanwhile)
    bucket.put("a", CONTENT)
    assert removed == [False, False]
    assert bucket.get("a", DIGEST) == CONTENT


def test_what_a_crash_left_half_written_in_the_folder_goes_at_the_start(folder: Place, tmp_path: Path):
    folder.objects.put("a", CONTENT)
    (tmp_path / "objects" / "incoming" / "0123").write_bytes(b"wei")
    folder.objects.clean()
    assert folder.behind.names() == [name_of("a", DIGEST)]


def test_the_same_content_again_is_the_same_file(folder: Place, tmp_path: Path):
    folder.objects.put("a", CONTENT)
    path = tmp_path / "objects" / name_of("a", DIGEST)
    before = path.stat().st_ino
    folder.objects.put("a", CONTENT)
    assert path.stat().st_ino == before


def test_a_disk_that_refuses_leaves_nothing(folder: Place, monkeypatch: pytest.MonkeyPatch):
    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("eil_atlas.folder.os.fsync", full)
    with pytest.raises(Unavailable, match="No space left on device"):
        folder.objects.put("a", CONTENT)
    assert folder.behind.names() == []


def test_a_big_content_goes_up_in_parts(s3: Keys):
    digest = bucket_of(s3).put("a", BIG)
    etag = s3.client.head_object(Bucket=s3.bucket, Key=s3.prefix + name_of("a", digest))["ETag"]
    assert etag.strip('"').endswith("-3")
    assert s3.uploads() == []


def test_an_upload_in_parts_that_fails_leaves_nothing(s3: Keys, monkeypatch: pytest.MonkeyPatch):
    call = BaseClient._make_api_call

    def broken(self: BaseClient, operation: str, arguments: dict[str, Any]) -> Any:
        if operation == "UploadPart" and arguments["PartNumber"] == 2:
            assert len(s3.uploads()) == 1
            raise EndpointConnectionError(endpoint_url="http://away")
        return call(self, operation, arguments)

    monkeypatch.setattr(BaseClient, "_make_api_call", broken)
    with pytest.raises(Unavailable):
        bucket_of(s3).put("a", BIG)
    assert (s3.names(), s3.uploads()) == ([], [])


def test_uploads_that_a_crash_left_go_at_the_start_when_nobody_can_be_at_them(s3: Keys):
    for key in (s3.prefix + "ab/cd", "others/ab"):
        s3.client.create_multipart_upload(Bucket=s3.bucket, Key=key)
    bucket_of(s3).clean()
    assert len(s3.uploads()) == 2
    bucket_of(s3, abandoned_s=-5.0).clean()  # the server tells its time in whole seconds
    assert s3.uploads() == ["others/ab"]
    for upload in s3.client.list_multipart_uploads(Bucket=s3.bucket)["Uploads"]:
        s3.client.abort_multipart_upload(Bucket=s3.bucket, Key=upload["Key"], UploadId=upload["UploadId"])


def test_a_bucket_that_cannot_be_used_stops_the_start(s3: Keys, monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(FailedPrecondition, match="NoSuchBucket"):
        Bucket("s3://no-such-bucket", s3.client.meta.endpoint_url, "us-east-1").clean()
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    refused = bucket_of(s3)
    with pytest.raises(FailedPrecondition, match="SignatureDoesNotMatch"):
        refused.clean()
    with pytest.raises(Unavailable, match="SignatureDoesNotMatch"):
        refused.put("a", CONTENT)


def test_a_server_that_is_away_is_unavailable_and_lets_the_service_start(credentials: None, nowhere: str):
    away = Bucket("s3://bucket", nowhere, "us-east-1")
    away.clean()
    name = name_of("a", DIGEST)
    for call in (
        lambda: away.put("a", CONTENT),
        lambda: away.put("a", BIG),
        lambda: away.get("a", DIGEST),
        lambda: list(away.older(0.0)),
        lambda: away.remove(name, 0.0),
    ):
        with pytest.raises(Unavailable, match="EndpointConnectionError") as caught:
            call()
        assert caught.value.reason == "STORE_FAILED"
        assert caught.value.retry_after_s


async def put_and_get(tmp_path: Path, url: str, server: str) -> atlas_pb2.GetObjectResponse:
    """An object through the service that keeps its objects there."""
    async with (
        running(tmp_path, AtlasSettings, build, objects_url=url, s3_endpoint_url=server),
        grpc.aio.insecure_channel("unix:atlas.sock", options=[("grpc.default_authority", "localhost")]) as channel,
    ):
        stub: Any = atlas_pb2_grpc.AtlasServiceStub(channel)
        caller = metadata(token(tmp_path))
        put = await stub.PutObject(atlas_pb2.PutObjectRequest(content=CONTENT), metadata=caller)
        return await stub.GetObject(atlas_pb2.GetObjectRequest(digest=put.digest), metadata=caller)


async def test_the_service_keeps_its_objects_in_the_bucket(s3: Keys, tmp_path: Path):
    got = await put_and_get(tmp_path, f"s3://{s3.bucket}/{s3.prefix}", s3.client.meta.endpoint_url)
    assert got.content == CONTENT
    assert [name.rpartition("/")[2] for name in s3.names()] == [DIGEST]
    assert not (tmp_path / "objects").exists()


async def test_the_service_says_when_to_try_again_if_the_server_is_away(
    credentials: None, nowhere: str, tmp_path: Path
):
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await put_and_get(tmp_path, "s3://bucket", nowhere)
    assert (caught.value.code(), reason_of(caught.value)) == (grpc.StatusCode.UNAVAILABLE, "STORE_FAILED")
    failed: Any = caught.value
    status = rpc_status.from_call(failed)
    assert any(detail.Is(error_details_pb2.RetryInfo.DESCRIPTOR) for detail in status.details)


@pytest.mark.parametrize("url", ["bucket", "s3://", "s3://Bucket", "s3://bucket//a", "http://bucket"])
def test_an_address_that_is_none_is_refused(url: str):
    with pytest.raises(ValueError, match="objects_url"):
        AtlasSettings(objects_url=url)


def test_without_an_address_objects_lie_in_a_folder(tmp_path: Path):
    assert isinstance(open_objects(AtlasSettings(state=tmp_path)), Folder)
