"""One holder at a time, on every store; staleness by silence, loss by evidence."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from consumer.store import lease
from consumer.store.held_lease import LeaseLost
from consumer.store.lease import Leases
from consumer.store.storage import Storage
from schemas.manifest import AttemptMarker
from tests.consumer.parties import KEY, TTL_S, Party
from tests.support.accounts import without
from tests.support.handles import S3Handle
from tests.support.work import settings_for


class Unconditional(Storage):
    """A real store whose server ignores conditions: they are dropped before they are sent."""

    async def put(self, bucket: str, key: str, data: bytes, **more: Any) -> str | None:
        return await super().put(bucket, key, data)


@pytest.fixture(params=["conditions", "none"])
async def storage(
    request: pytest.FixtureRequest, every_s3: S3Handle, tmp_path: Path
) -> AsyncIterator[Storage]:
    kind = Storage if request.param == "conditions" else Unconditional
    opened = kind(settings_for(every_s3, tmp_path))
    yield opened
    opened.close()


async def _marker(storage: Storage, bucket: str) -> AttemptMarker:
    found = await storage.get(bucket, KEY)
    assert found is not None
    return AttemptMarker.model_validate_json(found[0])


async def test_the_server_is_asked_whether_it_honours_conditions(
    every_s3: S3Handle, storage: Storage
) -> None:
    leases = Leases(storage, every_s3.bucket, "a/1/x", TTL_S)
    assert await leases.honours_conditions() is not isinstance(storage, Unconditional)
    assert every_s3.keys() == []


async def test_a_bucket_that_lets_nothing_be_removed_is_asked_all_the_same(
    s3: S3Handle, tmp_path: Path
) -> None:
    storage = Storage(settings_for(without(s3, "s3:DeleteObject"), tmp_path))
    assert await Leases(storage, s3.bucket, "a/1/x", TTL_S).honours_conditions()
    storage.close()


async def test_only_one_of_many_gets_the_lease(every_s3: S3Handle, storage: Storage) -> None:
    parties = [Party(storage, every_s3.bucket, f"r{n}") for n in range(6)]
    for party in parties:
        party.conditions = await party.leases.honours_conditions()
    claims = await asyncio.gather(*(party.claim() for party in parties))
    assert len([held for held in claims if held is not None]) == 1


async def test_a_renewed_lease_is_never_taken_however_long_it_is_held(
    s3: S3Handle, tmp_path: Path
) -> None:
    storage = Storage(settings_for(s3, tmp_path))
    ttl_s = 3.0  # a renewal that takes a busy machine two thirds of that is late
    holder, watcher = (Party(storage, s3.bucket, name, ttl_s=ttl_s) for name in "ab")
    held = await holder.claim()
    assert held is not None
    async with held:
        end = asyncio.get_running_loop().time() + 2 * ttl_s
        while asyncio.get_running_loop().time() < end:
            assert await watcher.claim() is None
            await asyncio.sleep(0.05)
        assert not held.lost.is_set()
    storage.close()


async def test_a_lease_that_nobody_renews_is_taken_over_with_its_count(
    every_s3: S3Handle, storage: Storage
) -> None:
    first = await Party(storage, every_s3.bucket, "a").claim()
    assert first is not None
    await first.start_attempt()
    second = await Party(storage, every_s3.bucket, "b").wait()
    assert second.attempt == 1
    assert second.crashed_before
    assert await second.start_attempt() == 2
    for call in (first.release, first.confirm, first.start_attempt):
        with pytest.raises(LeaseLost):
            await call()
        assert first.lost.is_set()
    assert (await _marker(storage, every_s3.bucket)).attempt == 2


async def test_a_holder_that_dies_before_it_begins_hides_no_outcome_of_another_revision(
    every_s3: S3Handle, storage: Storage
) -> None:
    first = await Party(storage, every_s3.bucket, "a", "of the old revision").claim()
    assert first is not None
    await first.start_attempt()
    await first.release(render_id="of the old revision")
    died = await Party(storage, every_s3.bucket, "b", "of the new revision").wait()
    assert died.before is not None
    heir = await Party(storage, every_s3.bucket, "c", "of the new revision").wait()
    assert heir.before is not None
    assert heir.before.render_id == "of the old revision"
    await heir.start_attempt()
    assert (await _marker(storage, every_s3.bucket)).render_id == "of the new revision"


async def test_wall_clocks_are_not_compared(
    s3: S3Handle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = Storage(settings_for(s3, tmp_path))

    class Wrong(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return datetime(1999, 1, 1, tzinfo=tz)

    with monkeypatch.context() as patch:
        patch.setattr(lease, "datetime", Wrong)
        held = await Party(storage, s3.bucket, "a").claim()
    assert held is not None
    assert await Party(storage, s3.bucket, "b").claim() is None, "it was renewed just now"
    storage.close()


async def test_a_released_lease_is_free_at_once_and_tells_what_happened(
    every_s3: S3Handle, storage: Storage
) -> None:
    first = await Party(storage, every_s3.bucket, "a").claim()
    assert first is not None
    await first.start_attempt()
    await first.release(last_error="ENGINE_FAILED")
    second = await Party(storage, every_s3.bucket, "b").claim()
    assert second is not None
    assert second.attempt == 1
    assert second.before is not None
    assert second.before.last_error == "ENGINE_FAILED"
    assert not second.crashed_before


async def test_a_failure_before_the_start_is_counted_and_a_refund_is_not(
    s3: S3Handle, tmp_path: Path
) -> None:
    storage = Storage(settings_for(s3, tmp_path))
    first = await Party(storage, s3.bucket, "a").claim()
    assert first is not None
    await first.release(last_error="SCRATCH_FULL")
    second = await Party(storage, s3.bucket, "b").claim()
    assert second is not None
    await second.start_attempt()
    await second.release(refund=True)
    marker = await _marker(storage, s3.bucket)
    assert (marker.attempt, marker.last_error, marker.lease) == (1, "SCRATCH_FULL", None)
    storage.close()


async def test_a_static_namesake_takes_over_at_once(s3: S3Handle, tmp_path: Path) -> None:
    storage = Storage(settings_for(s3, tmp_path))
    assert await Party(storage, s3.bucket, "pod-0").claim() is not None
    again = Party(storage, s3.bucket, "pod-0", static=True)
    again.leases = Leases(storage, s3.bucket, "pod-0/1/y", TTL_S, static=True)
    again.watch = again.leases.watch(KEY, "job", "render")
    other = Party(storage, s3.bucket, "pod-1", static=True)
    assert await other.claim() is None
    assert await again.claim() is not None
    storage.close()


async def test_a_marker_that_cannot_be_read_is_replaced(s3: S3Handle, tmp_path: Path) -> None:
    storage = Storage(settings_for(s3, tmp_path))
    await storage.put(s3.bucket, KEY, b"not a marker")
    assert await Party(storage, s3.bucket, "a").claim() is not None
    assert (await _marker(storage, s3.bucket)).attempt == 0
    storage.close()


@pytest.mark.parametrize(
    "change",
    [
        {"lease": {"ttl_s": 1e308}},
        {"lease": {"ttl_s": math.inf}},
        {"lease": {"ttl_s": math.nan}},
        {"lease": {"ttl_s": -1}},
        {"attempt": -1_000_000},
        {"render_id": "../" * 500},
        {"padding": "x" * (17 * 1024 * 1024)},
        {"version": 2},
    ],
    ids=["huge", "endless", "no number", "negative", "attempts", "name", "size", "version"],
)
async def test_a_marker_that_states_what_cannot_be_keeps_nobody_waiting(
    change: dict[str, Any], s3: S3Handle, tmp_path: Path
) -> None:
    storage = Storage(settings_for(s3, tmp_path))
    assert await Party(storage, s3.bucket, "a").claim() is not None
    good = json.loads((await _marker(storage, s3.bucket)).model_dump_json())
    assert await Party(storage, s3.bucket, "b").claim() is None
    bad = good | change | {"lease": good["lease"] | change.get("lease", {})}
    await storage.put(s3.bucket, KEY, json.dumps(bad).encode())
    held = await Party(storage, s3.bucket, "b").claim()
    assert held is not None
    assert (held.attempt, held.before) == (0, None)
    storage.close()
