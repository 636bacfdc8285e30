"""What is waited for: whichever comes first, and longer each time that nothing has come."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterator
from typing import Any, TypeVar

T = TypeVar("T")


class Overtaken(Exception):
    """Something else came before the end of the work."""


async def first_of(*events: asyncio.Event) -> None:
    """Return when one of the events is set."""
    waits = [asyncio.create_task(event.wait()) for event in events]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for each in waits:
            each.cancel()


async def unless(work: Awaitable[T], *events: asyncio.Event, timeout_s: float | None = None) -> T:
    """The result of work that ends before an event or the time; else, or cancelled, it is ended.

    Raises:
        Overtaken: it did not.
    """
    task = asyncio.ensure_future(work)
    waits = [asyncio.create_task(event.wait()) for event in events]
    every: list[asyncio.Future[Any]] = [task, *waits]
    try:
        await asyncio.wait(every, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise Overtaken
        return task.result()
    finally:
        for each in every:
            each.cancel()
        await asyncio.gather(*every, return_exceptions=True)


def growing(first_s: float, longest_s: float) -> Iterator[float]:
    """Pauses between tries, seconds: each twice as long as the one before, up to the longest."""
    pause_s = first_s
    while True:
        yield pause_s
        pause_s = min(2 * pause_s, longest_s)
