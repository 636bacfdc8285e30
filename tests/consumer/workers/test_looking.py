"""A child is asked once by all who ask meanwhile, and nobody waits for one that has ended."""

from __future__ import annotations

import asyncio

import pytest

from consumer.workers import looking
from consumer.workers.looking import Looking
from tests.consumer.children import ready_worker


async def test_all_who_ask_meanwhile_wait_for_one_answer_and_the_next_asks_again() -> None:
    asked = 0

    async def ask() -> None:
        nonlocal asked
        asked += 1

    looks = Looking(ask)
    for questions in (1, 2):
        tasks = [asyncio.create_task(looks.look()) for _ in range(5)]
        done, _ = await asyncio.wait(tasks, timeout=0.05)
        assert (asked, len(done)) == (questions, 0)
        looks.over()
        await asyncio.wait_for(asyncio.gather(*tasks), 120)


async def test_who_asked_a_child_that_ended_or_is_silent_waits_no_longer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def ask() -> None:
        pass

    silent = Looking(ask)
    monkeypatch.setattr(looking, "LOOK_S", 0.01)
    await asyncio.wait_for(silent.look(), 120)
    monkeypatch.setattr(looking, "LOOK_S", 600.0)
    async with ready_worker() as worker:
        worker._looking._ask = ask
        waiting = asyncio.create_task(worker.look())
        await asyncio.sleep(0)
        await worker.stop()
        await asyncio.wait_for(waiting, 120)
        await asyncio.wait_for(worker.look(), 120)
