"""The store: streamed, capped, digested, resumed, conditional, and every failure typed."""

from __future__ import annotations

import asyncio
import hashlib
import io
import os
import random
import resource
import subprocess
import sys
import urllib.request
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest

from consumer.faults import Fault
from consumer.settings_load import load
from consumer.storage import Storage, file_sha256
from consumer.store_reads import MOST_READ
from schemas.codes import ErrorCode
from schemas.refs import ObjectRef
from tests.consumer.web import Answer, reply, web
from tests.support.capabilities import Can
from tests.support.embedded import EmbeddedS3Server
from tests.support.handles import S3Handle
from tests.support.toxic import toxic
from tests.support.work import settings_for

LIMIT = 10_000_000
AWKWARD = ["a b.wav", "ü/ñ/漢字.mp4", "a+b%20c%.wav", "q?x=1&y=#2.wav", "~!*'();:@,[]$.wav"]


@pytest.fixture
async def storage(every_s3: S3Handle, tmp_path: Path) -> AsyncIterator[Storage]:
    opened = Storage(settings_for(every_s3, tmp_path))
    yield opened
    opened.close()


@pytest.fixture
async def one(s3: S3Handle, tmp_path: Path) -> AsyncIterator[Storage]:
    opened = Storage(settings_for(s3, tmp_path))
    yield opened
    opened.close()


def _put(s3: S3Handle, key: str, data: bytes) -> ObjectRef:
    s3.client().put_object(s3.bucket, key, io.BytesIO(data), len(data))
    return ObjectRef(s3.bucket, key)


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


async def test_what_is_missing_or_too_large_or_refused_is_typed_and_leaves_no_file(
    every_s3: S3Handle, storage: Storage, tmp_path: Path
) -> None:
    target = tmp_path / "target"
    large = _put(every_s3, "large", b"x" * 1000)
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
    _put(s3, "attempts/job/huge.json", whole)
    found = await one.get(s3.bucket, "attempts/job/huge.json")
    assert found is not None
    assert len(found[0]) == MOST_READ
    assert await one.put(s3.bucket, "attempts/job/huge.json", b"{}", if_match=found[1])


async def test_a_server_that_is_away_is_typed_and_worth_a_retry(tmp_path: Path) -> None:
    gone = S3Handle("gone", "http://127.0.0.1:9", "a", "b", frozenset(), "bucket")
    storage = Storage(settings_for(gone, tmp_path))
    for call in (
        storage.fetch(ObjectRef("bucket", "k"), tmp_path / "t", LIMIT),
        storage.get("bucket", "k"),
        storage.put("bucket", "k", b"x"),
        storage.check(),
    ):
        with pytest.raises(Fault) as caught:
            await call
        assert caught.value.code is ErrorCode.STORE_UNAVAILABLE
        assert caught.value.error.retryable


@pytest.mark.parametrize(
    "page",
    [
        reply("200 OK", b"<html><body>It works!</body></html>", Content_Type="text/html"),
        reply("404 Not Found", b"not here", Content_Type="text/plain"),
        reply("200 OK", b"<Cut", Content_Type="application/xml"),
    ],
    ids=["a page", "a missing page", "half an answer"],
)
async def test_something_else_in_the_store_s_place_is_typed_too(
    tmp_path: Path, page: Answer
) -> None:
    async with web() as site:
        site.answers = {"/bucket": page, "/": page}
        address = f"http://127.0.0.1:{site.port}"
        other = S3Handle("other", address, "a", "b", frozenset(), "bucket")
        storage = Storage(settings_for(other, tmp_path))
        with pytest.raises(Fault, match="what answers is no S3 store") as caught:
            await storage.list_objects("bucket", "results/")
        assert caught.value.code is ErrorCode.STORE_UNAVAILABLE
        assert "prefix 'results/' in bucket 'bucket'" in caught.value.what
        with pytest.raises(Fault) as caught:
            await storage.server_time()
        assert caught.value.code is ErrorCode.STORE_UNAVAILABLE
        storage.close()


async def test_a_bucket_that_keeps_what_it_has_by_default_takes_objects(tmp_path: Path) -> None:
    """Object Lock with a default retention: such buckets of Amazon ask for the MD5 of each."""
    from minio.commonconfig import GOVERNANCE
    from minio.objectlockconfig import DAYS, ObjectLockConfig

    server = EmbeddedS3Server()
    server.start()
    try:
        plain = S3Handle.fresh(server)
        client, bucket = plain.client(), f"{plain.bucket}-lock"
        client.make_bucket(bucket, object_lock=True)
        client.set_object_lock_config(bucket, ObjectLockConfig(GOVERNANCE, 1, DAYS))
        storage = Storage(settings_for(plain, tmp_path))
        source = tmp_path / "source"
        source.write_bytes(b"v" * 3_000_000)
        assert await storage.put(bucket, "k", b"1", if_absent=True) is not None
        assert await storage.put(bucket, "k", b"2", if_absent=True) is None
        assert await storage.put_file(bucket, "v.mp4", source, "video/mp4") is not None
        fetched = await storage.fetch(ObjectRef(bucket, "v.mp4"), tmp_path / "target", LIMIT)
        assert fetched.sha256 == file_sha256(source)
        storage.close()
    finally:
        server.stop()


async def test_a_disk_that_takes_no_more_is_scratch_s_fault_and_no_defect(
    s3: S3Handle, one: Storage, tmp_path: Path
) -> None:
    ref = _put(s3, "k", bytes(400_000))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        with pytest.raises(Fault, match="File too large") as caught:
            await one.fetch(ref, tmp_path / "target", LIMIT)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert caught.value.code is ErrorCode.SCRATCH_FULL
    assert not (tmp_path / "target").exists()


@pytest.mark.parametrize(("minutes", "where"), [(20, "behind"), (-20, "ahead of")])
async def test_a_clock_that_is_off_is_named_where_the_store_refuses_it(
    tmp_path: Path, minutes: int, where: str
) -> None:
    """An answer to HEAD has no body, so it only says 403: it looked as if rights were missing."""
    date = format_datetime(datetime.now(UTC) + timedelta(minutes=minutes), usegmt=True)
    xml = b"<Error><Code>RequestTimeTooSkewed</Code><Message>.</Message></Error>"
    async with web() as site:
        site.answers = {
            "/bucket": reply("403 Forbidden", Date=date),
            "/bucket/k": reply("403 Forbidden", xml, Content_Type="application/xml", Date=date),
        }
        address = f"http://127.0.0.1:{site.port}"
        other = S3Handle("other", address, "a", "b", frozenset(), "bucket")
        storage = Storage(settings_for(other, tmp_path))
        for call in (
            storage.check,
            lambda: storage.get("bucket", "k"),
            lambda: storage.put("bucket", "k", b""),
        ):
            said = rf"this machine's clock is 20 min {where} the store's; let NTP"
            with pytest.raises(Fault, match=said) as caught:
                await call()
            assert caught.value.code is ErrorCode.STORE_UNAVAILABLE
        storage.close()


async def test_a_condition_decides_who_writes_first(every_s3: S3Handle, storage: Storage) -> None:
    bucket = every_s3.bucket
    first = await storage.put(bucket, "k", b"1", if_absent=True)
    assert first is not None
    assert await storage.put(bucket, "k", b"2", if_absent=True) is None
    assert await storage.put(bucket, "k", b"3", if_match="0" * 32) is None
    second = await storage.put(bucket, "k", b"4", if_match=first)
    assert second is not None
    assert await storage.put(bucket, "k", b"5", if_match=first) is None
    assert await storage.get(bucket, "k") == (b"4", second)
    assert await storage.put(bucket, "nothing", b"6", if_match=first) is None


async def test_of_many_who_put_if_absent_at_once_one_wins(one: Storage, s3: S3Handle) -> None:
    results = await asyncio.gather(
        *(one.put_if_absent(s3.bucket, "k", str(n).encode()) for n in range(12))
    )
    found = await one.get(s3.bucket, "k")
    assert found is not None
    assert results.count(True) == 1
    assert found[0] == str(results.index(True)).encode()
    assert await one.put_if_absent(s3.bucket, "k", found[0]), "its own bytes count as written"


async def test_cut_downloads_are_resumed_until_whole(s3: S3Handle, tmp_path: Path) -> None:
    data = random.Random(1).randbytes(400_000)
    ref = _put(s3, "k", data)
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
    ref = _put(s3, "k", old)
    async with toxic(s3.endpoint) as proxy:
        storage = Storage(settings_for(s3, tmp_path, S3_ENDPOINT=proxy.endpoint))
        proxy.cuts = [100_000]
        task = asyncio.create_task(storage.fetch(ref, tmp_path / "t", LIMIT))
        while not proxy.cut:
            await asyncio.sleep(0.001)
        _put(s3, "k", new)
        fetched = await task
        storage.close()
    assert (tmp_path / "t").read_bytes() in (old, new)
    assert fetched.sha256 == file_sha256(tmp_path / "t")


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
    ref = _put(s3, "k", b"speech")
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


async def test_a_bucket_is_made_once(every_s3: S3Handle, storage: Storage) -> None:
    name = f"{every_s3.bucket}-new"
    assert await storage.ensure_bucket(name)
    assert not await storage.ensure_bucket(name)
    await storage.check()


async def test_listing_and_removing(every_s3: S3Handle, storage: Storage) -> None:
    for key in ("a/1", "a/2", "b/1"):
        await storage.put(every_s3.bucket, key, b"x")
    listed = await storage.list_objects(every_s3.bucket, "a/")
    assert [key for key, _ in listed] == ["a/1", "a/2"]
    await storage.remove(every_s3.bucket, "a/1")
    await storage.remove(every_s3.bucket, "a/1")
    assert every_s3.keys() == ["a/2", "b/1"]


async def test_a_full_disk_is_typed_and_leaves_no_file(s3: S3Handle, tmp_path: Path) -> None:
    if not os.access("/dev/full", os.W_OK):
        pytest.skip("needs /dev/full")
    ref = _put(s3, "k", b"x" * 100_000)
    link = tmp_path / "full"
    link.symlink_to("/dev/full")
    storage = Storage(settings_for(s3, tmp_path))
    with pytest.raises(Fault) as caught:
        await storage.fetch(ref, link, LIMIT)
    assert caught.value.code is ErrorCode.SCRATCH_FULL
    assert not link.is_symlink()


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
