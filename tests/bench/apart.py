"""What may take a GPU's context with it, or never end, in a process of its own."""

from __future__ import annotations

import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import IO

KILL_S = 10.0
"""A process that waits in a driver may outlive its end by any time; nobody waits longer for it."""


def last_words(said: IO[bytes]) -> str:
    """The last line of what a process wrote to its stderr; empty where it wrote nothing."""
    said.seek(0)
    lines = said.read().decode(errors="replace").split("\n")
    return next((line.strip()[:300] for line in reversed(lines) if line.strip()), "")


def end(process: subprocess.Popen[str]) -> int | None:
    """End a process; its exit code, None where it does not end."""
    process.kill()
    with suppress(subprocess.TimeoutExpired):
        return process.wait(KILL_S)
    return None


def lines_of(command: Sequence[str], until: float) -> Iterator[str]:
    """What a command says, line by line, and why it ended if not well.

    Args:
        command: whose stdout is read.
        until: second of `time.monotonic` at which it is ended.
    """
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=said, text=True)
        assert process.stdout is not None
        timer = threading.Timer(max(0.0, until - time.monotonic()), process.kill)
        timer.start()
        try:
            for line in process.stdout:
                yield line.rstrip("\n")
            code = process.wait()
            if code:
                why = "its time is over" if time.monotonic() >= until else last_words(said)
                yield f"  ended with {code}: {why}"
        finally:
            timer.cancel()
            end(process)
