"""One holder at a time, on every store; staleness by silence, loss by evidence."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import AsyncIterator, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from consumer import held as held_lease
from consumer import lease
from consumer.faults import Fault
from consumer.held import Held, LeaseLost
from consumer.lease import Leases
from consumer.storage import Storage
from schemas.codes import ErrorCode, Stage
from schemas.manifest import AttemptMarker
from tests.support.accounts import without
from tests.support.handles import S3Handle
from tests.support.work import settings_for

KEY = "attempts/job/render.json"
TTL_S = 0.6


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


class Party:
    """One replica that wants the lease."""

    def __init__(
        self,
        storage: Storage,
        bucket: str,
        name: str,
        render_id: str = "render",
        ttl_s: float = TTL_S,
        **more: Any,
    ) -> None:
        self.leases = Leases(storage, bucket, f"{name}/1/x", ttl_s, **more)
        self.watch = self.leases.watch(KEY, "job", render_id)
        self.conditions: bool | None = None

    async def claim(self) -> Held | None:
        if self.conditions is None:
            self.conditions = await self.leases.honours_conditions()
        return await self.watch.try_claim(conditions=self.conditions)

    async def wait(self) -> Held:
        async with asyncio.timeout(120):
            while (held := await self.claim()) is None:
                await asyncio.sleep(self.watch.pause_s)
        return held


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
    with pytest.raises(LeaseLost):
        await first.release()
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


async def test_a_write_whose_answer_was_lost_is_recognised_as_ours(
    s3: S3Handle, tmp_path: Path
) -> None:
    class Forgetful(Storage):
        lose = False

        async def put(self, bucket: str, key: str, data: bytes, **more: Any) -> str | None:
            answer = await super().put(bucket, key, data, **more)
            if self.lose:  # as a retry sees it: the first try arrived, so the condition fails
                return await super().put(bucket, key, data, **more)
            return answer

    storage = Forgetful(settings_for(s3, tmp_path))
    party = Party(storage, s3.bucket, "a")
    party.conditions = True
    storage.lose = True
    held = await party.claim()
    assert held is not None
    assert await held.start_attempt() == 1
    await held.release()
    assert not held.lost.is_set()
    storage.close()


class Faulty(Storage):
    """A store that is away, or that loses the answers to writes which it has made."""

    away = False
    forgets = False

    async def get(self, bucket: str, key: str) -> tuple[bytes, str] | None:
        self._fail(self.away)
        return await super().get(bucket, key)

    async def put(self, bucket: str, key: str, data: bytes, **more: Any) -> str | None:
        self._fail(self.away)
        answer = await super().put(bucket, key, data, **more)
        self._fail(self.forgets and answer is not None)
        return answer

    def _fail(self, when: bool) -> None:
        if when:
            raise Fault.of(ErrorCode.STORE_UNAVAILABLE, Stage.STORE, "away")


@pytest.fixture
def faulty(s3: S3Handle, tmp_path: Path) -> Iterator[Faulty]:
    opened = Faulty(settings_for(s3, tmp_path))
    yield opened
    opened.close()


async def test_an_outage_of_the_store_makes_no_lease_stale(s3: S3Handle, faulty: Faulty) -> None:
    assert await Party(faulty, s3.bucket, "a").claim() is not None
    watcher = Party(faulty, s3.bucket, "b")
    assert await watcher.claim() is None
    faulty.away = True
    with pytest.raises(Fault):
        await watcher.claim()
    await asyncio.sleep(1.5 * TTL_S)  # in which nobody could have renewed it
    faulty.away = False
    assert await watcher.claim() is None
    await watcher.wait()  # now somebody could, and nobody does


@pytest.mark.parametrize("taken_over", [False, True])
async def test_a_lease_that_was_taken_without_an_answer_is_held_at_the_next_try(
    s3: S3Handle, faulty: Faulty, taken_over: bool
) -> None:
    party = Party(faulty, s3.bucket, "a")
    party.conditions = True
    if taken_over:
        before = await Party(faulty, s3.bucket, "b").claim()
        assert before is not None
        await before.start_attempt()
        await before.release(last_error="ENGINE_FAILED")
    faulty.forgets = True
    with pytest.raises(Fault):
        await party.claim()
    faulty.forgets = False
    held = await party.claim()
    assert held is not None, "the one that holds it is this one"
    assert await held.start_attempt() == 1 + taken_over


class Sleepy(Storage):
    """A real store, in a process that stands still between a write and reading its answer.

    By its clock, which goes on at no other time.
    """

    now_s = still_s = 0.0
    writes = 0

    def monotonic(self) -> float:
        return self.now_s

    async def put(self, bucket: str, key: str, data: bytes, **more: Any) -> str | None:
        answer = await super().put(bucket, key, data, **more)
        self.writes += 1
        self.now_s += self.still_s
        return answer


async def test_a_lease_is_as_old_as_its_writing_not_as_the_reading_of_the_answer(
    s3: S3Handle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = Sleepy(settings_for(s3, tmp_path))
    for module in (lease, held_lease):
        monkeypatch.setattr(module, "time", storage)
    party = Party(storage, s3.bucket, "a")
    party.conditions = True
    storage.still_s = 0.6 * TTL_S
    held = await party.claim()
    assert held is not None
    for written in (2, 3):  # by the claim, and by the renewal that this confirmation makes
        await held.confirm()
        assert storage.writes == written, "a successor could have come, and was not looked for"
    storage.still_s = 0
    await held.confirm()
    await held.confirm()
    assert storage.writes == 4
    storage.close()
