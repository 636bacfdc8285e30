"""The first signal asks for the drain, the second ends its grace."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator

import pytest

from consumer.signals import Signals, Stopped

ENDING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


@pytest.fixture
async def signals() -> AsyncIterator[Signals]:
    before = {number: signal.signal(number, signal.SIG_DFL) for number in ENDING}
    yield Signals()
    for number, handler in before.items():
        asyncio.get_running_loop().remove_signal_handler(number)
        signal.signal(number, handler)


@pytest.mark.parametrize("number", ENDING)
async def test_the_first_signal_stops_and_the_second_hurries(
    signals: Signals, number: signal.Signals
) -> None:
    signals.listen()
    os.kill(os.getpid(), number)
    await asyncio.wait_for(signals.stop.wait(), 120)
    assert not signals.hurry.is_set()
    os.kill(os.getpid(), signal.SIGTERM)
    await asyncio.wait_for(signals.hurry.wait(), 120)


async def test_what_is_waited_for_ends_by_the_first_signal(signals: Signals) -> None:
    signals.listen()
    waiting = asyncio.create_task(signals.unless_stopped(asyncio.Event().wait()))
    os.kill(os.getpid(), signal.SIGTERM)
    with pytest.raises(Stopped):
        await asyncio.wait_for(waiting, 120)


async def test_a_closed_terminal_is_ignored_where_that_was_asked_for(signals: Signals) -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signals.listen()
    os.kill(os.getpid(), signal.SIGHUP)
    os.kill(os.getpid(), signal.SIGINT)
    await asyncio.wait_for(signals.stop.wait(), 120)
    await asyncio.sleep(0)
    assert not signals.hurry.is_set()
