"""What is written is there whole or not at all, and a condition decides who writes."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest

from consumer.faults import Fault
from consumer.store.facts import NOTHING
from consumer.store.storage import Storage, file_sha256
from schemas.codes import ErrorCode
from schemas.refs import ObjectRef
from tests.consumer.store.calls import LIMIT
from tests.support.embedded import EmbeddedS3Server
from tests.support.handles import S3Handle
from tests.support.stores import Stores
from tests.support.toxic import toxic
from tests.support.work import settings_for


async def test_a_bucket_that_keeps_what_it_has_by_default_takes_objects(
    stores: Stores, tmp_path: Path
) -> None:
    """Object Lock with a default retention: such buckets of Amazon ask for the MD5 of each."""
    from minio.commonconfig import GOVERNANCE
    from minio.objectlockconfig import DAYS, ObjectLockConfig

    plain = stores.fresh(EmbeddedS3Server.name)
    client, bucket = plain.client(), f"{plain.bucket}-lock"
    client.make_bucket(bucket, object_lock=True)
    client.set_object_lock_config(bucket, ObjectLockConfig(GOVERNANCE, 1, DAYS))
    storage = Storage(settings_for(plain, tmp_path))
    source = tmp_path / "source"
    source.write_bytes(b"v" * 3_000_000)
    assert await storage.put(bucket, "k", b"1", over=NOTHING) is not None
    assert await storage.put(bucket, "k", b"2", over=NOTHING) is None
    assert await storage.put_file(bucket, "v.mp4", source, "video/mp4") is not None
    fetched = await storage.fetch(ObjectRef(bucket, "v.mp4"), tmp_path / "target", LIMIT)
    assert fetched.sha256 == file_sha256(source)
    storage.close()


async def test_a_bucket_where_nothing_may_be_written_over_is_named_for_its_lock(
    second_s3: S3Handle, tmp_path: Path
) -> None:
    """It was called a matter of rights, and every job waited for ever behind a ready replica."""
    from minio.commonconfig import COMPLIANCE
    from minio.objectlockconfig import DAYS, ObjectLockConfig

    client, bucket = second_s3.client(), f"{second_s3.bucket}-lock"
    client.make_bucket(bucket, object_lock=True)
    client.set_object_lock_config(bucket, ObjectLockConfig(COMPLIANCE, 1, DAYS))
    storage = Storage(settings_for(second_s3, tmp_path))
    try:
        assert await storage.put(bucket, "k", b"1") is not None
        with pytest.raises(Fault, match="take a bucket without a default retention") as caught:
            await storage.put(bucket, "k", b"2")
        assert caught.value.code is ErrorCode.STORE_DENIED
    finally:
        storage.close()


async def test_a_condition_decides_who_writes_first(every_s3: S3Handle, storage: Storage) -> None:
    bucket = every_s3.bucket
    first = await storage.put(bucket, "k", b"1", over=NOTHING)
    assert first is not None
    assert await storage.put(bucket, "k", b"2", over=NOTHING) is None
    assert await storage.put(bucket, "k", b"3", over="0" * 32) is None
    second = await storage.put(bucket, "k", b"4", over=first)
    assert second is not None
    assert await storage.put(bucket, "k", b"5", over=first) is None
    assert await storage.get(bucket, "k") == (b"4", second)
    assert await storage.put(bucket, "nothing", b"6", over=first) is None


async def test_of_many_who_put_if_absent_at_once_one_wins(one: Storage, s3: S3Handle) -> None:
    results = await asyncio.gather(
        *(one.put_if_absent(s3.bucket, "k", str(n).encode()) for n in range(12))
    )
    found = await one.get(s3.bucket, "k")
    assert found is not None
    assert results.count(True) == 1
    assert found[0] == str(results.index(True)).encode()
    assert await one.put_if_absent(s3.bucket, "k", found[0]), "its own bytes count as written"


async def test_503s_and_cut_answers_to_writes_are_tried_again(s3: S3Handle, tmp_path: Path) -> None:
    async with toxic(s3.endpoint) as proxy:
        storage = Storage(settings_for(s3, tmp_path, S3_ENDPOINT=proxy.endpoint))
        proxy.refuse = 2
        assert await storage.put(s3.bucket, "k", b"1") is not None
        storage._sdk.http.clear()
        proxy.cuts = [10]  # the write arrives, its answer does not
        assert await storage.put_if_absent(s3.bucket, "once", b"2")
        assert proxy.cut == 1
        proxy.refuse = 100
        storage._sdk.http.clear()
        with pytest.raises(Fault) as caught:
            await storage.put(s3.bucket, "k", b"3")
        assert caught.value.code is ErrorCode.STORE_UNAVAILABLE
        storage.close()
    assert s3.keys() == ["k", "once"]


async def test_an_upload_that_is_cut_is_never_visible_in_part(
    every_s3: S3Handle, tmp_path: Path
) -> None:
    source = tmp_path / "source"
    source.write_bytes(random.Random(3).randbytes(3_000_000))
    storage = Storage(settings_for(every_s3, tmp_path))
    task = asyncio.create_task(storage.put_file(every_s3.bucket, "k", source, "video/mp4"))
    await asyncio.sleep(0.005)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    storage.close()
    found = await asyncio.to_thread(every_s3.keys)
    if found:
        stat = every_s3.client().stat_object(every_s3.bucket, "k")
        assert stat.size == 3_000_000
