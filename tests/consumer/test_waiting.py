"""Work that something else may come before, and pauses that grow."""

from __future__ import annotations

import asyncio
from itertools import islice

import pytest

from consumer.background import ended
from consumer.waiting import Overtaken, growing, unless


class _Endless:
    """Work that only ends when it is told to, and takes a while to let go."""

    def __init__(self) -> None:
        self.begun, self.let_go = asyncio.Event(), False

    async def work(self) -> None:
        self.begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            for _ in range(10):
                await asyncio.sleep(0)
            self.let_go = True


async def _answer() -> int:
    await asyncio.sleep(0)
    return 42


async def test_work_that_ends_first_gives_its_result_or_its_error() -> None:
    async def fail() -> None:
        raise ValueError("of the work")

    assert await unless(_answer(), asyncio.Event(), timeout_s=60) == 42
    with pytest.raises(ValueError, match="of the work"):
        await unless(fail(), asyncio.Event())
    assert asyncio.all_tasks() == {asyncio.current_task()}, "nobody waits any more"


@pytest.mark.parametrize("by", ["an event", "the time"])
async def test_work_that_is_overtaken_has_let_go_before_that_is_told(by: str) -> None:
    endless, event = _Endless(), asyncio.Event()
    waiting = unless(
        endless.work(), asyncio.Event(), event, timeout_s=0.01 if by == "the time" else None
    )
    task = asyncio.create_task(waiting)
    await endless.begun.wait()
    if by == "an event":
        event.set()
    with pytest.raises(Overtaken):
        await asyncio.wait_for(task, 60)
    assert endless.let_go


async def test_work_of_somebody_who_is_cancelled_has_let_go_before_he_ends() -> None:
    endless = _Endless()
    task = asyncio.create_task(unless(endless.work(), asyncio.Event()))
    await endless.begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert endless.let_go


async def test_whoever_ends_a_task_waits_until_it_has_let_go_and_hears_his_own_cancel() -> None:
    await ended(None)
    endless = _Endless()
    task = asyncio.create_task(endless.work())
    await endless.begun.wait()
    await ended(task)
    assert endless.let_go

    again = _Endless()
    task = asyncio.create_task(again.work())
    await again.begun.wait()
    ending = asyncio.create_task(ended(task))
    await asyncio.sleep(0)
    ending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await ending
    await asyncio.wait((task,))


def test_pauses_double_up_to_the_longest() -> None:
    assert list(islice(growing(0.5, 3.0), 5)) == [0.5, 1.0, 2.0, 3.0, 3.0]
