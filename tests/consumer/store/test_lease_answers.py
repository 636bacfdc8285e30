"""A lease is what the store has, whatever became of its answers."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from consumer.faults import Fault
from consumer.store import held_lease, lease
from consumer.store.storage import Storage
from schemas.codes import ErrorCode, Stage
from schemas.manifest import AttemptMarker
from tests.consumer.parties import KEY, TTL_S, Party
from tests.support.handles import S3Handle
from tests.support.work import settings_for


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


class Clock:
    """A monotonic clock that the test moves."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def monotonic(self) -> float:
        return self.now_s


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    moved = Clock()
    for module in (lease, held_lease):
        monkeypatch.setattr(module, "time", moved)
    return moved


async def test_an_outage_of_the_store_makes_no_lease_stale(
    s3: S3Handle, faulty: Faulty, clock: Clock
) -> None:
    assert await Party(faulty, s3.bucket, "a").claim() is not None
    watcher = Party(faulty, s3.bucket, "b")
    assert await watcher.claim() is None
    faulty.away = True
    with pytest.raises(Fault):
        await watcher.claim()
    clock.now_s += 1.5 * TTL_S  # in which nobody could have renewed it
    faulty.away = False
    assert await watcher.claim() is None
    for _ in range(3):  # now somebody could, and nobody does
        clock.now_s += TTL_S / 3
        held = await watcher.claim()
    assert held is not None


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


async def test_an_attempt_that_was_counted_without_an_answer_is_counted_once(
    s3: S3Handle, faulty: Faulty
) -> None:
    """What the store has is ours, and older than what is to be written."""
    party = Party(faulty, s3.bucket, "a")
    party.conditions = True
    held = await party.claim()
    assert held is not None
    faulty.forgets = True
    with pytest.raises(Fault):
        await held.start_attempt()
    faulty.forgets = False
    assert await held.start_attempt() == held.attempt == 1
    found = await faulty.get(s3.bucket, KEY)
    assert found is not None
    assert AttemptMarker.model_validate_json(found[0]).attempt == 1
    await held.release(last_error="ENGINE_FAILED")
    after = await Party(faulty, s3.bucket, "b").claim()
    assert after is not None
    assert await after.start_attempt() == 2


class Sweeping(Storage):
    """A store without conditions, where somebody removes what is written at once."""

    async def put(self, bucket: str, key: str, data: bytes, **more: Any) -> str | None:
        answer = await super().put(bucket, key, data)
        await self.remove(bucket, key)
        return answer


async def test_a_marker_that_is_gone_when_it_is_read_back_holds_nothing(
    s3: S3Handle, tmp_path: Path
) -> None:
    storage = Sweeping(settings_for(s3, tmp_path))
    party = Party(storage, s3.bucket, "a")
    party.conditions = False
    assert await party.claim() is None
    storage.close()


class Sleepy(Storage):
    """A real store, in a process that stands still between a write and reading its answer.

    By its clock, which goes on at no other time.
    """

    clock: Clock
    still_s = 0.0
    writes = 0

    async def put(self, bucket: str, key: str, data: bytes, **more: Any) -> str | None:
        answer = await super().put(bucket, key, data, **more)
        self.writes += 1
        self.clock.now_s += self.still_s
        return answer


async def test_a_lease_is_as_old_as_its_writing_not_as_the_reading_of_the_answer(
    s3: S3Handle, tmp_path: Path, clock: Clock
) -> None:
    storage = Sleepy(settings_for(s3, tmp_path))
    storage.clock = clock
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


class Breaking(Storage):
    """A store whose calls fail now and then in a way that nobody foresaw."""

    failures = 0

    async def put(self, bucket: str, key: str, data: bytes, **more: Any) -> str | None:
        if self.failures:
            self.failures -= 1
            raise KeyError("a defect")
        return await super().put(bucket, key, data, **more)


async def test_a_lease_is_renewed_on_after_an_error_that_nobody_foresaw(
    s3: S3Handle, tmp_path: Path
) -> None:
    """The renewal ended there, silently, and another replica rendered the same."""
    storage = Breaking(settings_for(s3, tmp_path))
    held = await Party(storage, s3.bucket, "a").claim()
    assert held is not None
    async with held, asyncio.timeout(120):
        storage.failures = 2
        while storage.failures:
            await asyncio.sleep(0.01)
        before = await storage.get(s3.bucket, KEY)
        while await storage.get(s3.bucket, KEY) == before:
            await asyncio.sleep(0.01)
    storage.close()
