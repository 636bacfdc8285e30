"""Kept avatars on a real store: made once for all replicas, and never a job's misfortune."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
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
SECONDS = (0.2, 0.32, 0.4, 0.24, 0.28)


def put_real_inputs(s3: S3Handle, folder: Path) -> None:
    client = s3.client()
    for name, seconds in zip(("a.wav", "b.wav", "c.wav", "d.wav", "e.wav"), SECONDS, strict=True):
        path = write_sound(folder / name, Tone(seconds, codec="pcm_s16le", rate=16_000))
        client.fput_object(s3.bucket, f"inputs/{name}", str(path))
    client.fput_object(s3.bucket, "inputs/video.mp4", str(VIDEO))


@dataclass
class Rendering(Replica):
    reused: tuple[bool, bool] = (False, False)
    """What the last render found of its reference: the tracked face, and the engine's own part."""
    seen: dict[str, float] = field(default_factory=dict)
    """What it was counted as."""


@asynccontextmanager
async def real_replica(s3: S3Handle, folder: Path, **changes: object) -> AsyncIterator[Rendering]:
    settings = settings_for(s3, folder, F2F_LABEL_C2PA="0", **changes)
    memory = Memory()
    async with open_processor(settings, memory) as processing:
        yield Rendering(memory, processing, settings)


async def rendered(one: Rendering, s3: S3Handle, name: str) -> Completed:
    before, counted = len(one.memory.told), counts()
    verdict = await one.process(make_job(s3, f"job-{name}", name=f"{name}.wav"))
    assert verdict.kind == "completed"
    events = [event for kind, event in one.memory.told[before:] if kind == "completed"]
    done = events[0]
    assert isinstance(done, Completed)
    assert done.avatar is not None
    one.reused, one.seen = (done.avatar.track_reused, done.avatar.reused), grown(counted)
    return done


def put(s3: S3Handle, key: str, data: bytes) -> None:
    s3.client().put_object(s3.bucket, key, io.BytesIO(data), len(data))


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


async def test_a_reference_is_prepared_once_for_all_replicas_and_what_is_damaged_by_the_first(
    s3: S3Handle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(*_: object, **__: object) -> object:
        raise Fault.of(ErrorCode.STORE_UNAVAILABLE, Stage.STORE, "as the test asked")

    put_real_inputs(s3, tmp_path)
    async with real_replica(s3, tmp_path / "one") as one:
        with monkeypatch.context() as patch:
            patch.setattr(Storage, "list_page", refuse)
            first = await rendered(one, s3, "a")
        assert (first.attempt, s3.keys("avatars/")) == (1, []), "a broken bucket is a miss"
        assert (one.reused, one.seen) == ((False, False), {"disk misses": 1, "store misses": 1})
        again = await rendered(one, s3, "b")  # found on the disk, missing in the bucket
        assert one.seen == {"disk hits": 1}
        assert not {"track", "prepare"} & again.timings_ms.keys()
        await until(lambda: len(s3.keys("avatars/")) == 2)
    assert again.avatar is not None
    assert sorted(s3.keys("avatars/")) == sorted(f"avatars/{n}" for n in again.avatar.files)
    assert all(n.startswith(again.inputs["video"].sha256) for n in again.avatar.files)
    track, own = sorted(s3.keys("avatars/"), key=lambda key: "/track-" not in key)
    put(s3, own, zeros := bytes(len(content(s3, own))))
    async with real_replica(s3, tmp_path / "two") as two:
        await rendered(two, s3, "c")
        assert two.reused == (True, False)
        await until(lambda: content(s3, own) != zeros)
    put(s3, own, b"foreign")
    put(s3, track, b"foreign")
    async with real_replica(s3, tmp_path / "three") as three:
        third = await rendered(three, s3, "d")
        assert (third.attempt, three.reused) == (1, (False, False)), "and costs no attempt"
        await until(lambda: b"foreign" not in (content(s3, own), content(s3, track)))
    async with real_replica(s3, tmp_path / "four") as four:
        last = await rendered(four, s3, "e")
        assert (four.reused, four.seen) == ((True, True), {"disk misses": 1, "store hits": 1})
        assert not {"track", "prepare"} & last.timings_ms.keys()


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
        await rendered(one, s3, "c")
        assert one.reused == (True, True)


async def test_nothing_is_kept_where_nothing_may_be(s3: S3Handle, tmp_path: Path) -> None:
    storage = Storage(settings := settings_for(s3, tmp_path, F2F_AVATAR_BYTES=0))
    try:
        avatars = Avatars(settings, storage)
        assert avatars.order is None
        assert (await avatars.fetch("ab" * 32, ["track-1"])).stored is None, "nobody was asked"
    finally:
        storage.close()
