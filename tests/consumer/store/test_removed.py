"""In a bucket that keeps versions a removed object is none, whatever the store says of it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from consumer.store.storage import Storage
from tests.consumer.parties import KEY, Party
from tests.support.capabilities import unavailable
from tests.support.handles import S3Handle
from tests.support.packages import MINIO, VERSITYGW
from tests.support.s3 import MinioServer, S3Process, VersionedVersityServer, own_s3
from tests.support.work import make_job, put_inputs, replica, settings_for, starts


@pytest.fixture(params=[MinioServer, VersionedVersityServer])
def versioned(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[S3Handle]:
    from minio.commonconfig import ENABLED
    from minio.versioningconfig import VersioningConfig

    if not (MINIO.ready() and VERSITYGW.ready()):
        unavailable("MinIO and VersityGW were not built: `make test-servers`")
    kind: type[S3Process] = request.param
    with own_s3(kind, tmp_path / "s3") as server:
        handle = S3Handle.fresh(server)
        handle.client().set_bucket_versioning(handle.bucket, VersioningConfig(ENABLED))
        yield handle


async def test_what_was_removed_may_be_written_again_and_what_is_there_may_not(
    versioned: S3Handle, tmp_path: Path
) -> None:
    storage, bucket = Storage(settings_for(versioned, tmp_path)), versioned.bucket
    assert await storage.put_if_absent(bucket, "k", b"1")
    assert not await storage.put_if_absent(bucket, "k", b"2")
    await storage.remove(bucket, "k")
    await asyncio.gather(*(storage.put_if_absent(bucket, "k", str(n).encode()) for n in range(4)))
    assert await storage.get(bucket, "k") is not None
    assert not await storage.put_if_absent(bucket, "k", b"5")
    storage.close()


async def test_of_many_who_write_over_what_was_removed_one_wins(
    versioned: S3Handle, tmp_path: Path
) -> None:
    """Two replicas believed in one lease until they renewed it."""
    storage, bucket = Storage(settings_for(versioned, tmp_path)), versioned.bucket
    first = await Party(storage, bucket, "first").claim()
    assert first is not None
    await storage.remove(bucket, KEY)
    parties = [Party(storage, bucket, name, ttl_s=60.0) for name in "abcdef"]
    for party in parties:
        party.conditions = True
    held = await asyncio.gather(*(party.claim() for party in parties))
    assert [each is not None for each in held].count(True) == 1
    storage.close()


async def test_a_job_whose_objects_are_gone_is_rendered_anew(
    versioned: S3Handle, tmp_path: Path
) -> None:
    """It asked the store for ever whether it might write its MP4."""
    log = tmp_path / "log"
    put_inputs(versioned, {"log": str(log)})
    async with replica(versioned, tmp_path / "data") as one:
        await one.process(make_job(versioned))
        for prefix in ("results/", "attempts/"):
            for key in versioned.keys(prefix):
                versioned.client().remove_object(versioned.bucket, key)
        verdict = await one.process(make_job(versioned))
        assert (verdict.kind, verdict.reused, starts(log)) == ("completed", False, 2)
        assert (await one.process(make_job(versioned))).reused
