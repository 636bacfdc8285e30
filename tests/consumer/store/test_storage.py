"""The store: what goes there comes back, by any key, of any size; and it is asked late."""

from __future__ import annotations

import random
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from consumer.settings.load import load
from consumer.store.storage import Storage, file_sha256
from schemas.refs import ObjectRef
from tests.consumer.store.calls import LIMIT
from tests.support.handles import S3Handle

AWKWARD = ["a b.wav", "ü/ñ/漢字.mp4", "a+b%20c%.wav", "q?x=1&y=#2.wav", "~!*'();:@,[]$.wav"]


@pytest.mark.parametrize("key", AWKWARD)
async def test_awkward_keys_go_there_and_back(
    every_s3: S3Handle, storage: Storage, tmp_path: Path, key: str
) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(b"speech")
    stored = await storage.put_file(every_s3.bucket, key, source, "audio/wav")
    assert stored is not None
    assert every_s3.keys() == [key]
    fetched = await storage.fetch(ObjectRef(every_s3.bucket, key), target, LIMIT)
    assert (fetched.size, fetched.sha256, fetched.etag) == (6, stored.sha256, stored.etag)
    url, _ = await storage.presign_get(every_s3.bucket, key, 60)
    with urllib.request.urlopen(url, timeout=120) as answer:
        assert answer.read() == b"speech"
    url, _ = await storage.presign_get(every_s3.bucket, key, 60, method="HEAD")
    with urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=120) as answer:
        assert answer.headers["Content-Length"] == "6"
    stat = await storage.stat(every_s3.bucket, key)
    assert stat is not None
    assert (stat.size, stat.sha256, stat.etag) == (6, stored.sha256, stored.etag)


@pytest.mark.parametrize("size", [0, 1, 300_000, 6_000_000])
async def test_files_of_any_size_come_back_with_their_digest(
    every_s3: S3Handle, storage: Storage, tmp_path: Path, size: int
) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(random.Random(size).randbytes(size))
    stored = await storage.put_file(every_s3.bucket, "k", source, "video/mp4")
    fetched = await storage.fetch(ObjectRef(every_s3.bucket, "k"), target, LIMIT)
    assert stored is not None
    assert fetched.sha256 == stored.sha256 == file_sha256(target) == file_sha256(source)
    found = every_s3.client().stat_object(every_s3.bucket, "k")
    assert found.content_type == "video/mp4"


async def test_a_bucket_is_made_once(every_s3: S3Handle, storage: Storage) -> None:
    name = f"{every_s3.bucket}-new"
    assert await storage.ensure_bucket(name)
    assert not await storage.ensure_bucket(name)
    await storage.check()


async def test_a_prefix_lists_its_own_keys_and_removing_twice_is_fine(
    every_s3: S3Handle, storage: Storage
) -> None:
    for key in ("a/1", "a/2", "b/1"):
        await storage.put(every_s3.bucket, key, b"x")
    listed = await storage.list_objects(every_s3.bucket, "a/")
    assert [key for key, _ in listed] == ["a/1", "a/2"]
    await storage.remove(every_s3.bucket, "a/1")
    await storage.remove(every_s3.bucket, "a/1")
    assert every_s3.keys() == ["a/2", "b/1"]


def test_importing_the_work_imports_neither_the_sdk_nor_tensors() -> None:
    code = (
        "import sys, consumer.processing\n"
        "bad = {'minio', 'torch', 'numpy', 'av', 'pipeline'} & set(sys.modules)\n"
        "assert not bad, bad\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


def test_a_secret_is_never_shown() -> None:
    settings = load({"S3_SECRET_KEY": "very-secret", "S3_ACCESS_KEY": "who"})
    assert "very-secret" not in repr(settings) + str(settings)
