"""Writes log lines in a thread of its own, so that nobody waits for who reads them.

A pipe that nobody reads (a container's log driver that hangs) fills up, and the next line written
to it stops whoever writes: the loop, and with it polls, leases and health. Here lines wait in
memory for a while; what comes on top is dropped, counted, and said to be missing when somebody
reads on.
"""

from __future__ import annotations

import contextlib
import io
import logging
import os
import queue
import threading
import time
from typing import TextIO

from consumer.metrics import LOG_LINES_DROPPED

MOST_LINES = 5_000
"""Lines that wait; at most a few megabytes."""
LAST_S = 1.0
"""How long the end of the process waits for its last lines to be written."""
_LOOK_S = 0.01


class LogWriter(logging.Handler):
    """A handler whose lines are written by a thread, to the file of a stream.

    Not through the stream itself: a thread that hangs in there would keep a lock that the
    interpreter asks for at its end.

    Raises:
        io.UnsupportedOperation: the stream has no file.
    """

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self._descriptor = os.dup(stream.fileno())
        self._encoding = stream.encoding or "utf-8"
        self._errors = stream.errors or "backslashreplace"
        self._lines: queue.Queue[bytes] = queue.Queue(MOST_LINES)
        self._dropped = 0
        threading.Thread(target=self._work, name="log", daemon=True).start()

    def emit(self, record: logging.LogRecord) -> None:
        """Hand a line over; never waits."""
        try:
            line = self._line(record)
        except Exception:  # noqa: BLE001 - as every handler does: a log line ends no work
            self.handleError(record)
            return
        try:
            self._lines.put_nowait(line)
        except queue.Full:
            self._dropped += 1
            LOG_LINES_DROPPED.inc()

    def flush(self) -> None:
        """Wait until all is written, for at most `LAST_S`."""
        end = time.monotonic() + LAST_S
        while self._lines.unfinished_tasks and time.monotonic() < end:
            time.sleep(_LOOK_S)

    def _line(self, record: logging.LogRecord) -> bytes:
        return f"{self.format(record)}\n".encode(self._encoding, self._errors)

    def _work(self) -> None:
        while True:
            line = self._lines.get()
            if self._dropped and self._lines.empty():
                lost, self._dropped = self._dropped, 0
                line += self._line(_missing(lost))
            with contextlib.suppress(OSError):  # nobody will ever read it
                _write_all(self._descriptor, line)
            self._lines.task_done()


def handler(stream: TextIO) -> logging.Handler:
    """A `LogWriter` for a stream with a file; for another (tests') one that writes at once."""
    try:
        return LogWriter(stream)
    except (io.UnsupportedOperation, RuntimeError):  # no file, or no thread to be had
        return logging.StreamHandler(stream)


def _missing(lines: int) -> logging.LogRecord:
    text = f"{lines} log lines were dropped, as nobody read them"
    facts = {"name": __name__, "levelno": logging.WARNING, "levelname": "WARNING", "msg": text}
    return logging.makeLogRecord(facts)


def _write_all(descriptor: int, data: bytes) -> None:
    left = memoryview(data)
    while left:
        try:
            left = left[os.write(descriptor, left) :]
        except BlockingIOError:  # somebody made the pipe so
            time.sleep(_LOOK_S)
