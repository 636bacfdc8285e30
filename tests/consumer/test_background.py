"""Background work lives as long as the service, whatever it meets."""

from __future__ import annotations

import asyncio

import pytest

from consumer import background
from consumer.background import lasting as last


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background, "FIRST_PAUSE_S", 0.0)


async def test_work_that_breaks_off_begins_again_until_it_has_nothing_to_do() -> None:
    begun = 0

    async def work() -> None:
        nonlocal begun
        begun += 1
        if begun < 4:
            raise OSError(116, "Stale file handle")

    await asyncio.wait_for(last("janitor", work), 120)
    assert begun == 4


async def test_what_ends_at_once_begins_ever_more_seldom(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background, "FIRST_PAUSE_S", 1.0)
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    async def work() -> None:
        if len(pauses) < 8:
            raise KeyError("a defect")

    monkeypatch.setattr(asyncio, "sleep", sleep)
    await last("janitor", work)
    assert pauses == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0]


async def test_works_in_the_background_have_ended_when_their_block_is_left() -> None:
    begun, ended = asyncio.Event(), asyncio.Event()

    async def work() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            ended.set()

    async with background.in_background({"janitor": work}):
        await asyncio.wait_for(begun.wait(), 120)
        assert not ended.is_set()
    assert ended.is_set()


async def test_a_cancellation_ends_it() -> None:
    begun = asyncio.Event()

    async def work() -> None:
        begun.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(last("janitor", work))
    await asyncio.wait_for(begun.wait(), 120)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
