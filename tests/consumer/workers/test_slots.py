"""Slots: no more than there are, in order, and suspects alone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from consumer.caches import weights_root
from consumer.places import PLACE, Place
from consumer.workers.protocol import PIPELINE
from consumer.workers.slots import Fleet
from schemas.codes import ErrorCode
from tests.pipeline.engines.runs import own_checkpoint
from tests.support.null_render import RENDERER
from tests.support.work import settings_for, until


@asynccontextmanager
async def _fleet(folder: Path, slots: int, renderer: str = RENDERER) -> AsyncIterator[Fleet]:
    from tests.support.handles import S3Handle

    nowhere = S3Handle("none", "http://127.0.0.1:9", "a", "b", frozenset(), "bucket")
    fleet = Fleet(settings_for(nowhere, folder, F2F_SLOTS=slots), renderer)
    fleet.start()
    try:
        yield fleet
    finally:
        await fleet.stop()


async def test_no_more_jobs_hold_a_slot_than_there_are_and_they_come_in_order(
    tmp_path: Path,
) -> None:
    async with _fleet(tmp_path, 2) as fleet:
        inside, most, order = 0, 0, []

        async def work(n: int) -> None:
            nonlocal inside, most
            async with fleet.slot():
                order.append(n)
                inside += 1
                most = max(most, inside)
                await asyncio.sleep(0.01)
                inside -= 1

        await asyncio.gather(*(work(n) for n in range(10)))
        assert (most, order) == (2, list(range(10)))


async def test_who_waits_for_a_worker_that_cannot_work_takes_no_place(tmp_path: Path) -> None:
    """A replica that was told to go waited for such jobs until its grace was over."""
    place = Place(lambda: None)
    PLACE.set(place)
    async with _fleet(tmp_path, 1, "tests.support.no_such_module:render") as fleet:
        waiting = asyncio.create_task(fleet.engine("viseme"))
        await until(lambda: place.elsewhere)
        assert fleet.why_not_ready() is not None
        waiting.cancel()
        await asyncio.wait((waiting,))
        assert not place.elsewhere


async def test_an_engine_whose_files_come_while_a_replica_runs_is_found_without_a_restart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Jobs that named it failed as before the files came, until the replica was started again."""
    here, weights = weights_root(), tmp_path / "weights"
    (weights / "wav2lip").mkdir(parents=True)
    (weights / "faces").symlink_to(here / "faces")
    monkeypatch.setenv("F2F_WEIGHTS_DIR", str(weights))
    async with _fleet(tmp_path / "data", 1, PIPELINE) as fleet:
        missed = (await asyncio.wait_for(fleet.engine("wav2lip"), 120)).fault
        assert missed is not None
        assert missed.code is ErrorCode.WEIGHTS_MISSING
        pid = fleet.workers[0].pid
        own_checkpoint(weights / "wav2lip")
        found = await asyncio.wait_for(fleet.engine("wav2lip"), 120)
        assert found.fault is None
        assert found.avatars
        assert "wav2lip" in fleet.engines()
        assert "musetalk" not in fleet.engines()
        assert (fleet.workers[0].pid, fleet.workers[0].restarts) == (pid, 0)


async def test_a_suspect_is_alone_and_does_not_starve(tmp_path: Path) -> None:
    async with _fleet(tmp_path, 2) as fleet:
        inside: set[str] = set()
        seen: list[set[str]] = []

        async def work(name: str, alone: bool) -> None:
            async with fleet.slot(alone=alone):
                inside.add(name)
                await asyncio.sleep(0.02)
                seen.append(set(inside))
                inside.discard(name)

        jobs = [work(f"a{n}", False) for n in range(3)]
        jobs += [work("suspect", True), *(work(f"b{n}", False) for n in range(3))]
        await asyncio.gather(*jobs)
        with_suspect = [group for group in seen if "suspect" in group]
        assert with_suspect == [{"suspect"}]
        assert seen.index({"suspect"}) <= 3


async def test_who_stops_waiting_for_a_slot_takes_none_with_him(tmp_path: Path) -> None:
    async with _fleet(tmp_path, 1) as fleet:
        async with fleet.slot():
            waiting = asyncio.create_task(fleet.slot().__aenter__())
            await asyncio.sleep(0)
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
        async with asyncio.timeout(120), fleet.slot():
            assert fleet.health()["cpu"]["busy"] == 1
        assert fleet.health()["cpu"]["busy"] == 0
