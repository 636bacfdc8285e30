"""Background work of the service that goes on for as long as the service does.

A task that ends by an error nobody foresaw (a machine out of threads or files, a share that went
stale, a defect) ends silently, and the service lives on without it. So such work is begun again.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

import structlog

from consumer.waiting import growing

FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 60.0
"""Between the end of such work and its next beginning; it grows while the work ends at once."""
log = structlog.get_logger(__name__)


async def lasting(
    what: str, work: Callable[[], Awaitable[None]], longest_pause_s: float = LONGEST_PAUSE_S
) -> None:
    """Do work that is meant never to end, and begin it again when it breaks off.

    Args:
        work: begins it; returning means that there is none to do.
        longest_pause_s: before it begins again, seconds; less where it may not rest for long.
    """
    first = min(FIRST_PAUSE_S, longest_pause_s)
    pauses = growing(first, longest_pause_s)
    while True:
        began = time.monotonic()
        try:
            await work()
            return
        except Exception:
            if time.monotonic() - began > LONGEST_PAUSE_S:
                pauses = growing(first, longest_pause_s)
            pause = next(pauses)
            log.exception("background work broke off and begins again", what=what, pause_s=pause)
        await asyncio.sleep(pause)


async def ended(task: asyncio.Task[None] | None) -> None:
    """Cancel a task, if there is one, and wait until it has let go, whatever it ends by."""
    if task is not None:
        task.cancel()
        await asyncio.wait((task,))


@contextlib.asynccontextmanager
async def in_background(works: Mapping[str, Callable[[], Awaitable[None]]]) -> AsyncIterator[None]:
    """Let works last beside the block; when it is left they have ended."""
    tasks = [asyncio.create_task(lasting(what, work), name=what) for what, work in works.items()]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError):  # what follows has to be ended, too
            await asyncio.gather(*tasks, return_exceptions=True)
