"""Asks a child once more which engines it can run: weights may have come since it began.

Only when a job names an engine that was not there, as most machines never get the others.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

LOOK_S = 60.0
"""Longest wait for the answer; a child may have to load what it tells of, while it renders."""


class Looking:
    """One question at a time, whose answer is awaited by all who ask meanwhile."""

    def __init__(self, ask: Callable[[], Awaitable[None]]) -> None:
        self._ask = ask
        self._answer: asyncio.Future[None] | None = None

    async def look(self) -> None:
        """Return when the child has answered, or ended, or is not going to answer."""
        if self._answer is None:
            self._answer = asyncio.get_running_loop().create_future()
            await self._ask()
        answer = self._answer
        if answer is not None:
            await asyncio.wait((answer,), timeout=LOOK_S)
            if not answer.done() and answer is self._answer:
                self.over()

    def over(self) -> None:
        """The answer is there, or nobody is left to give it."""
        answer, self._answer = self._answer, None
        if answer is not None:
            answer.set_result(None)
