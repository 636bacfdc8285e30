"""The stores of one test run: each is started when a test first asks for it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.support import resolve
from tests.support.handles import S3Handle

NAMES = tuple(name for name, _ in resolve.s3_choices())
"""Of the stores that this run takes: the first is the store of most tests."""


class Stores:
    """Starts stores, and ends all of them together.

    Args:
        folder: makes a new, empty folder for a server.
    """

    def __init__(self, folder: Callable[[], Path]) -> None:
        self._folder = folder
        self._makers = dict(resolve.s3_choices())
        self._started: dict[str, resolve.S3Server] = {}

    def fresh(self, name: str = NAMES[0]) -> S3Handle:
        """An empty bucket in a store, which is started where it is not running yet."""
        if name not in self._started:
            server = self._makers[name](self._folder())
            server.start()
            self._started[name] = server
        return S3Handle.fresh(self._started[name])

    def stop(self) -> None:
        """End what was started."""
        for server in self._started.values():
            server.stop()
