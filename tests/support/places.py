"""Places where the Atlas keeps objects, and what lies there as whoever has the disk or the bucket sees it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eil_atlas.bucket import Bucket
from eil_atlas.objects import Objects


class Files:
    """A folder as whoever has the disk sees it."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def names(self) -> list[str]:
        return [str(path.relative_to(self._root)) for path in self._root.rglob("*") if path.is_file()]

    def alter(self, name: str, content: bytes) -> None:
        (self._root / name).write_bytes(content)

    def remove(self, name: str) -> None:
        (self._root / name).unlink()


class Keys:
    """A bucket as whoever has its credentials sees it."""

    def __init__(self, client: Any, bucket: str, prefix: str) -> None:
        self.client, self.bucket, self.prefix = client, bucket, prefix

    def names(self) -> list[str]:
        found = self.client.list_objects_v2(Bucket=self.bucket).get("Contents", [])
        return [entry["Key"].removeprefix(self.prefix) for entry in found]

    def alter(self, name: str, content: bytes) -> None:
        self.client.put_object(Bucket=self.bucket, Key=self.prefix + name, Body=content)

    def remove(self, name: str) -> None:
        self.client.delete_object(Bucket=self.bucket, Key=self.prefix + name)

    def uploads(self) -> list[str]:
        return [upload["Key"] for upload in self.client.list_multipart_uploads(Bucket=self.bucket).get("Uploads", [])]


@dataclass
class Place:
    objects: Objects
    behind: Files | Keys


def bucket_of(s3: Keys, abandoned_s: float = 3600.0) -> Bucket:
    return Bucket(f"s3://{s3.bucket}/{s3.prefix}", s3.client.meta.endpoint_url, "us-east-1", abandoned_s)
