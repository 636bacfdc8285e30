"""Streams one remote file to disk: size-capped, digested while it flows, resumed when cut.

Knows no S3: the caller hands in a function that opens the source at an offset. A resumed read asks
for the same version of the object (by its ETag), so that two versions are never mixed in one file.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

from consumer.disk import written
from consumer.faults import Fault
from schemas.codes import ErrorCode, Stage

BLOCK = 256 * 1024
RESUMES = 5
"""Cuts in a row, without a byte in between, after which the source counts as unavailable."""
PAUSE_S = 0.2
DRIP_WINDOW_S = 30.0
DRIP_BYTES = 64 * 1024
"""A source that brings less than this in a window is cut and asked again: a drip ties up a job."""


class Cut(Exception):
    """The transfer broke off; what has come so far is good."""


class Changed(Exception):
    """The object is not the version any more that the transfer began with."""


class Stopped(Exception):
    """Nobody waits for the file any longer."""


class Body(Protocol):
    """An open response."""

    def read(self, amount: int) -> bytes:
        """The next bytes as soon as some are there; b"" at the end. Raises Cut."""

    def close(self) -> None:
        """Give the connection back, or drop it."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A source that answers."""

    body: Body
    total: int
    """Size of the whole object, bytes."""
    etag: str


OpenAt = Callable[[int, str | None], Opened]
"""(offset, ETag of the version or None) to an open source. Raises Cut, Changed or Fault."""


@dataclass(frozen=True, slots=True)
class Whole:
    """A file that came, or went, whole."""

    size: int
    sha256: str
    etag: str


def download(open_at: OpenAt, path: Path, limit: int, what: str, stop: threading.Event) -> Whole:
    """Fetch to `path`, which is removed again when this fails.

    Args:
        path: file to write; its folder exists.
        limit: bytes above which the source is refused, before or while it comes.
        stop: set from elsewhere to give up at the next block.

    Raises:
        Fault: INPUT_TOO_LARGE, STORE_UNAVAILABLE, SCRATCH_FULL, or what `open_at` raises.
        Stopped: `stop` was set.
    """
    with written(path, what) as out:
        return _Transfer(open_at, out, limit, what, stop).run()


class _Transfer:
    def __init__(
        self, open_at: OpenAt, out: BinaryIO, limit: int, what: str, stop: threading.Event
    ) -> None:
        self._open_at = open_at
        self._out = out
        self._limit = limit
        self._what = what
        self._stop = stop
        self._digest = hashlib.sha256()
        self._done = 0
        self._etag: str | None = None

    def _begin_again(self) -> None:
        self._digest = hashlib.sha256()
        self._done = 0
        self._etag = None
        self._out.seek(0)
        self._out.truncate()

    def run(self) -> Whole:
        failures = 0
        while True:
            before = self._done
            try:
                return self._once()
            except Changed:
                self._begin_again()
                failures += 1
                reason = "it changes while it is read"
            except Cut as cut:
                failures = failures + 1 if self._done == before else 1
                reason = str(cut)
            if failures > RESUMES:
                raise Fault.of(
                    ErrorCode.STORE_UNAVAILABLE,
                    Stage.FETCH,
                    f"{self._what} broke off {failures} times at byte {self._done}: {reason}",
                )
            if self._stop.wait(PAUSE_S * failures):
                raise Stopped

    def _once(self) -> Whole:
        opened = self._open_at(self._done, self._etag)
        try:
            self._check(opened.total)
            self._etag = opened.etag
            self._pump(opened.body)
        finally:
            opened.body.close()
        if self._done != opened.total:
            raise Cut(f"{self._done} of {opened.total} bytes came")
        return Whole(self._done, self._digest.hexdigest(), opened.etag)

    def _pump(self, body: Body) -> None:
        window, bytes_then = time.monotonic(), self._done
        while block := body.read(BLOCK):
            if self._stop.is_set():
                raise Stopped
            self._out.write(block)
            self._digest.update(block)
            self._done += len(block)
            self._check(self._done)
            now = time.monotonic()
            if now - window >= DRIP_WINDOW_S:
                if self._done - bytes_then < DRIP_BYTES:
                    raise Cut(f"fewer than {DRIP_BYTES} bytes came in {DRIP_WINDOW_S:g} s")
                window, bytes_then = now, self._done

    def _check(self, size: int) -> None:
        if size > self._limit:
            raise Fault.of(
                ErrorCode.INPUT_TOO_LARGE,
                Stage.FETCH,
                f"{self._what} has {size} bytes or more; the limit is {self._limit}",
                size=size,
                limit=self._limit,
            )
