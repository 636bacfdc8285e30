"""The signals by which the service is asked to end."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable
from typing import TypeVar

import structlog

from consumer.waiting import Overtaken, unless

T = TypeVar("T")

log = structlog.get_logger("app")


class Stopped(Exception):
    """A signal came while something was waited for."""


class Signals:
    """SIGTERM, SIGINT and SIGHUP: the first asks for the drain, the second ends its grace.

    SIGHUP comes when the terminal of a service is closed; where it is ignored, as by nohup, it
    stays so.
    """

    def __init__(self) -> None:
        self.stop = asyncio.Event()
        self.hurry = asyncio.Event()

    def listen(self) -> None:
        """Take the signals from now on."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            if number is not signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
                loop.add_signal_handler(number, self._take, number)

    def _take(self, number: signal.Signals) -> None:
        log.info("signal", name=number.name, again=self.stop.is_set())
        (self.hurry if self.stop.is_set() else self.stop).set()

    async def unless_stopped(self, work: Awaitable[T]) -> T:
        """Wait for work.

        Raises:
            Stopped: a signal came first.
        """
        try:
            return await unless(work, self.stop)
        except Overtaken:
            raise Stopped from None
