"""Kept avatars on a real store: made once for all replicas, and never a job's misfortune."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from consumer.faults import Fault
from consumer.metrics import AVATAR_HITS, AVATAR_MISSES
from consumer.processing import open_processor
from consumer.store.storage import Storage
from consumer.work.avatars import Avatars
from schemas.codes import ErrorCode, Stage
from schemas.events import Completed
from tests.support.handles import S3Handle
from tests.support.media import Tone, write_sound
from tests.support.work import Memory, Replica, make_job, settings_for, until

VIDEO = Path(__file__).parents[2] / "consumer" / "demo_assets" / "reference.mp4"


def put_real_inputs(s3: S3Handle, folder: Path) -> None:
    client = s3.client()
    for name, seconds in (("a.wav", 0.2), ("b.wav", 0.32), ("c.wav", 0.4)):
        path = write_sound(folder / name, Tone(seconds, codec="pcm_s16le", rate=16_000))
        client.fput_object(s3.bucket, f"inputs/{name}", str(path))
    client.fput_object(s3.bucket, "inputs/video.mp4", str(VIDEO))


@asynccontextmanager
async def real_replica(s3: S3Handle, folder: Path, **changes: object) -> AsyncIterator[Replica]:
    settings = settings_for(s3, folder, F2F_LABEL_C2PA="0", **changes)
    memory = Memory()
    async with open_processor(settings, memory) as processing:
        yield Replica(memory, processing, settings)


async def rendered(one: Replica, s3: S3Handle, name: str) -> Completed:
    before = len(one.memory.told)
    verdict = await one.process(make_job(s3, f"job-{name}", name=f"{name}.wav"))
    assert verdict.kind == "completed"
    events = [event for kind, event in one.memory.told[before:] if kind == "completed"]
    assert isinstance(events[0], Completed)
    return events[0]


def content(s3: S3Handle, key: str) -> bytes:
    answer = s3.client().get_object(s3.bucket, key)
    with answer:
        return bytes(answer.read())


def counts() -> dict[str, float]:
    found = {}
    for name, metric in (("hits", AVATAR_HITS), ("misses", AVATAR_MISSES)):
        for level in ("disk", "store"):
            found[f"{level} {name}"] = metric.labels(level)._value.get()
    return found


def grown(before: dict[str, float]) -> dict[str, float]:
    return {name: value - before[name] for name, value in counts().items() if value > before[name]}


async def test_a_reference_is_prepared_once_for_all_replicas(s3: S3Handle, tmp_path: Path) -> None:
    put_real_inputs(s3, tmp_path)
    async with real_replica(s3, tmp_path / "one") as one:
        before = counts()
        first = await rendered(one, s3, "a")
        assert first.avatar is not None
        assert not first.avatar.reused
        assert grown(before) == {"disk misses": 1, "store misses": 1}
        await until(lambda: len(s3.keys("avatars/")) == 2)
        assert sorted(s3.keys("avatars/")) == sorted(f"avatars/{n}" for n in first.avatar.files)
        assert all(n.startswith(first.inputs["video"].sha256) for n in first.avatar.files)

        before = counts()
        second = await rendered(one, s3, "b")
        assert second.avatar is not None
        assert second.avatar.reused
        assert not {"track", "prepare"} & second.timings_ms.keys()
        assert grown(before) == {"disk hits": 1}
    async with real_replica(s3, tmp_path / "two") as two:
        before = counts()
        third = await rendered(two, s3, "c")
        assert third.avatar is not None
        assert third.avatar.reused
        assert not {"track", "prepare"} & third.timings_ms.keys()
        assert grown(before) == {"disk misses": 1, "store hits": 1}


async def test_a_broken_bucket_and_damaged_objects_are_misses_and_cost_no_attempt(
    s3: S3Handle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(*_: object, **__: object) -> object:
        raise Fault.of(ErrorCode.STORE_UNAVAILABLE, Stage.STORE, "as the test asked")

    put_real_inputs(s3, tmp_path)
    async with real_replica(s3, tmp_path / "one") as one:
        with monkeypatch.context() as patch:
            patch.setattr(Storage, "list_page", refuse)
            first = await rendered(one, s3, "a")
        assert (first.attempt, s3.keys("avatars/")) == (1, [])
        second = await rendered(one, s3, "b")  # found on the disk, missing in the bucket
        assert second.avatar is not None
        assert second.avatar.reused
        await until(lambda: len(s3.keys("avatars/")) == 2)
    for key in s3.keys("avatars/"):
        s3.client().put_object(s3.bucket, key, io.BytesIO(b"foreign"), 7)
    async with real_replica(s3, tmp_path / "two") as two:
        third = await rendered(two, s3, "c")
        assert (third.attempt, third.avatar and third.avatar.reused) == (1, False)


async def test_what_is_damaged_in_the_bucket_is_replaced_by_the_first_who_makes_it_anew(
    s3: S3Handle, tmp_path: Path
) -> None:
    put_real_inputs(s3, tmp_path)
    async with real_replica(s3, tmp_path / "one") as one:
        await rendered(one, s3, "a")
        await until(lambda: len(s3.keys("avatars/")) == 2)
    (key,) = (key for key in s3.keys("avatars/") if "/track-" not in key)
    size = len(content(s3, key))
    s3.client().put_object(s3.bucket, key, io.BytesIO(bytes(size)), size)
    async with real_replica(s3, tmp_path / "two") as two:
        second = await rendered(two, s3, "b")
        assert second.avatar is not None
        assert (second.avatar.track_reused, second.avatar.reused) == (True, False)
        await until(lambda: any(content(s3, key)))
    async with real_replica(s3, tmp_path / "three") as three:
        third = await rendered(three, s3, "c")
        assert third.avatar is not None
        assert third.avatar.reused


async def test_two_jobs_on_one_new_video_do_not_disturb_each_other(
    s3: S3Handle, tmp_path: Path
) -> None:
    put_real_inputs(s3, tmp_path)
    async with real_replica(s3, tmp_path, F2F_SLOTS=2) as one:
        jobs = [make_job(s3, f"job-{name}", name=f"{name}.wav") for name in "ab"]
        verdicts = await asyncio.gather(*(one.process(job) for job in jobs))
        assert [verdict.kind for verdict in verdicts] == ["completed", "completed"]
        await until(lambda: len(s3.keys("avatars/")) == 2)
        kept = [p for p in (tmp_path / "avatars").rglob("*") if p.is_file()]
        assert len(kept) == 2
        third = await rendered(one, s3, "c")
        assert third.avatar is not None
        assert third.avatar.reused


async def test_nothing_is_kept_where_nothing_may_be(s3: S3Handle, tmp_path: Path) -> None:
    storage = Storage(settings := settings_for(s3, tmp_path, F2F_AVATAR_BYTES=0))
    try:
        avatars = Avatars(settings, storage)
        assert avatars.order is None
        assert (await avatars.fetch("ab" * 32, ["track-1"])).stored is None, "nobody was asked"
    finally:
        storage.close()
