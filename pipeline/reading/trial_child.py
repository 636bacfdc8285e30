"""The process of `pipeline.reading.trial`: opens files, one after the other.

It says how that went, or what a photograph shows. It imports little, as it has to start in a tenth
of a second. Its own alarm ends it, also where its parent is gone by then.
"""

from __future__ import annotations

import contextlib
import json
import resource
import signal
import sys
from pathlib import Path
from typing import Any

import av

OPENED, MEMORY = "opened", "memory"
"""Answers. The first also where the file is damaged: whoever opens it next says how."""
_ROOM = 3
"""Times the memory that may be used by which the address space may grow: lists that grow are there
twice, and threads reserve what they never use."""


def main() -> None:
    """Answer each line of stdin, until it ends."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # sent to the whole group: the parent ends its jobs
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    for line in sys.stdin:
        answer, data = _answer(json.loads(line))
        sys.stdout.buffer.write(f"{answer}\n".encode())
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()


def _answer(asked: dict[str, Any]) -> tuple[str, bytes | memoryview]:
    memory = int(asked["memory"])
    before = _resident()
    _limit_address_space(memory)
    signal.setitimer(signal.ITIMER_REAL, asked["seconds"])
    try:
        answer, data = _photograph(asked) if "photograph" in asked else (_opened(asked), b"")
    except MemoryError:
        return MEMORY, b""
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    return (MEMORY, b"") if _resident() - before > memory else (answer, data)


def _opened(asked: dict[str, Any]) -> str:
    with (
        contextlib.suppress(
            *(av.FFmpegError, OSError, ValueError, RuntimeError, OverflowError, MemoryError)
        ),
        av.open(asked["file"], mode="r", format=asked["format"], **asked["options"]),
    ):
        pass
    return OPENED


def _photograph(asked: dict[str, Any]) -> tuple[str, bytes | memoryview]:
    from pipeline.reading.photograph_child import read  # imports more, and most jobs have none

    told, pixels = read(asked["photograph"], asked["kind"], asked["most"])
    if pixels is None:
        return json.dumps(told), b""
    return json.dumps({**told, "shape": pixels.shape}), pixels.reshape(-1).data


def _limit_address_space(memory: int) -> None:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    most = pages * resource.getpagesize() + _ROOM * memory
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    if hard != resource.RLIM_INFINITY:
        most = min(most, hard)
    resource.setrlimit(resource.RLIMIT_AS, (most, hard))


def _resident() -> int:
    """Bytes of memory at most so far; `getrusage` would count the parent's, too."""
    said = Path("/proc/self/status").read_text()
    return 1024 * int(said.partition("VmHWM:")[2].split()[0])


if __name__ == "__main__":
    main()
