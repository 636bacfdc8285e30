"""What is read is whole and of one version, or a typed failure that leaves no file."""

from __future__ import annotations

import asyncio
import hashlib
import os
import random
import resource
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from consumer.faults import Fault
from consumer.store.reads import MOST_READ
from consumer.store.storage import Storage, file_sha256
from schemas.codes import ErrorCode
from schemas.refs import ObjectRef
from tests.consumer.store.calls import LIMIT, put_object
from tests.support.capabilities import Can
from tests.support.handles import S3Handle
from tests.support.toxic import toxic
from tests.support.work import settings_for


async def test_what_is_missing_or_too_large_or_refused_is_typed_and_leaves_no_file(
    every_s3: S3Handle, storage: Storage, tmp_path: Path
) -> None:
    target = tmp_path / "target"
    large = put_object(every_s3, "large", b"x" * 1000)
    cases = [
        (storage, ObjectRef(every_s3.bucket, "nothing"), ErrorCode.INPUT_NOT_FOUND),
        (storage, ObjectRef("no-such-bucket-here", "k"), ErrorCode.INPUT_NOT_FOUND),
        (storage, large, ErrorCode.INPUT_TOO_LARGE),
    ]
    if Can.SIGNATURES in every_s3.capabilities:
        thief = Storage(settings_for(every_s3, tmp_path, S3_SECRET_KEY="wrong"))
        cases.append((thief, large, ErrorCode.STORE_UNAVAILABLE))  # keys may be changed
    for store, ref, code in cases:
        with pytest.raises(Fault) as caught:
            await store.fetch(ref, target, 999)
        assert caught.value.code is code
        assert ref.url in caught.value.error.message
        assert not target.exists()


async def test_of_a_huge_object_only_a_part_is_read_into_memory(s3: S3Handle, one: Storage) -> None:
    whole = b" " * (MOST_READ + 1)
    put_object(s3, "attempts/job/huge.json", whole)
    found = await one.get(s3.bucket, "attempts/job/huge.json")
    assert found is not None
    assert len(found[0]) == MOST_READ
    assert await one.put(s3.bucket, "attempts/job/huge.json", b"{}", over=found[1])


async def test_a_disk_that_takes_no_more_is_scratch_s_fault_and_no_defect(
    s3: S3Handle, one: Storage, tmp_path: Path
) -> None:
    ref = put_object(s3, "k", bytes(400_000))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        with pytest.raises(Fault, match="File too large") as caught:
            await one.fetch(ref, tmp_path / "target", LIMIT)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert caught.value.code is ErrorCode.SCRATCH_FULL
    assert not (tmp_path / "target").exists()


async def test_cut_downloads_are_resumed_until_whole(s3: S3Handle, tmp_path: Path) -> None:
    data = random.Random(1).randbytes(400_000)
    ref = put_object(s3, "k", data)
    async with toxic(s3.endpoint) as proxy:
        storage = Storage(settings_for(s3, tmp_path, S3_ENDPOINT=proxy.endpoint))
        random_bytes = random.Random(2)
        proxy.cuts = [random_bytes.randrange(1, 120_000) for _ in range(8)]
        fetched = await storage.fetch(ref, tmp_path / "t", LIMIT)
        storage.close()
    assert proxy.cut >= 4
    assert fetched.sha256 == hashlib.sha256(data).hexdigest() == file_sha256(tmp_path / "t")


async def test_an_object_that_changes_under_a_resumed_download_is_never_mixed(
    s3: S3Handle, tmp_path: Path
) -> None:
    old, new = b"o" * 300_000, b"n" * 300_000
    ref = put_object(s3, "k", old)
    async with toxic(s3.endpoint) as proxy:
        storage = Storage(settings_for(s3, tmp_path, S3_ENDPOINT=proxy.endpoint))
        proxy.cuts = [100_000]
        task = asyncio.create_task(storage.fetch(ref, tmp_path / "t", LIMIT))
        while not proxy.cut:
            await asyncio.sleep(0.001)
        put_object(s3, "k", new)
        fetched = await task
        storage.close()
    assert (tmp_path / "t").read_bytes() in (old, new)
    assert fetched.sha256 == file_sha256(tmp_path / "t")


async def test_presigned_urls_name_the_public_endpoint_and_end_in_time(
    s3: S3Handle, tmp_path: Path
) -> None:
    storage = Storage(settings_for(s3, tmp_path, S3_PUBLIC_ENDPOINT="https://media.example.com"))
    url, ends = await storage.presign_get(s3.bucket, "k", 3600)
    assert url.startswith(f"https://media.example.com/{s3.bucket}/k?")
    assert "X-Amz-Expires=3600" in url
    assert s3.secret_key not in url
    assert ends > datetime.now(UTC) + timedelta(seconds=3590)


async def test_an_answer_cut_within_its_headers_is_never_an_empty_object(
    s3: S3Handle, tmp_path: Path
) -> None:
    ref = put_object(s3, "k", b"speech")
    async with toxic(s3.endpoint) as proxy:
        storage = Storage(settings_for(s3, tmp_path, S3_ENDPOINT=proxy.endpoint))
        for cut in range(20, 320, 30):
            proxy.cuts = [cut, cut]  # the file's own connections, then those of small calls
            fetched = await storage.fetch(ref, tmp_path / "fetched", LIMIT)
            assert (fetched.size, (tmp_path / "fetched").read_bytes()) == (6, b"speech"), cut
            proxy.cuts = [cut]
            assert await storage.get(s3.bucket, "k") == (b"speech", fetched.etag), cut
            storage.close()
            storage = Storage(settings_for(s3, tmp_path, S3_ENDPOINT=proxy.endpoint))
        assert proxy.cut >= 20
        storage.close()


@pytest.mark.parametrize("size", [10, 100_000], ids=["in-a-buffer", "written-at-once"])
async def test_a_full_disk_is_typed_and_leaves_no_file(
    size: int, s3: S3Handle, tmp_path: Path
) -> None:
    if not os.access("/dev/full", os.W_OK):
        pytest.skip("needs /dev/full")
    ref = put_object(s3, "k", b"x" * size)
    link = tmp_path / "full"
    link.symlink_to("/dev/full")
    storage = Storage(settings_for(s3, tmp_path))
    with pytest.raises(Fault) as caught:
        await storage.fetch(ref, link, LIMIT)
    assert caught.value.code is ErrorCode.SCRATCH_FULL
    assert not link.is_symlink()
