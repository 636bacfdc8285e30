"""Opens a file on trial, in a process that can be ended, before this one opens it.

Photographs are read there, too. libavformat reads words and indexes in loops that look at no clock:
300,000 tags in 4 MB take it minutes, and a thousand edits in 2 MB take gigabytes. In a worker that
would hold a place for as long as a job may take, and then end the jobs beside it. What was opened
here in time is opened as quickly a second time. Such a process is used again and again, so that a
trial costs a file what opening it costs.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import logging
import math
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import EngineFailed, InputUnreadable, MediaLimitExceeded, OutOfMemory
from pipeline.reading.container import Clock, known_kind, open_options
from pipeline.reading.trial_child import MEMORY, OPENED
from pipeline.types import Limits
from schemas.codes import Stage

_LEAST_MEMORY = 512 * 1024**2
_PIXEL_BYTES = 16
"""Of memory per pixel: opening may decode a picture, progressive or of 16 bits."""
_log = logging.getLogger(__name__)


def open_on_trial(path: Path, limits: Limits, stage: Stage) -> None:
    """Open a file elsewhere; what can or cannot be read is for the caller to find.

    Args:
        path: a regular file (`container.check_file`).
        limits: seconds that opening may take, and pixels, which its memory follows from.

    Raises:
        MediaLimitExceeded: opening takes longer than `probe_timeout_s`, or too much memory.
        InputUnreadable: opening it ends the process.
        OutOfMemory: the kernel ended the process.
    """
    asked = {
        "file": f"file:{path.absolute()}",
        "format": known_kind(path),
        "options": open_options(limits),
    }
    said = _POOL.ask(_line(asked, limits))
    if said.answer == OPENED:
        return
    _check(path, said, limits, stage)
    # It did not come so far: no reason to refuse a file.
    _log.warning("%s opened without a trial: the trial's process ended with %d", path, said.ended)


def read_on_trial(
    path: Path, kind: str, most: int, limits: Limits, stage: Stage
) -> tuple[tuple[int, int], NDArray[np.uint8] | None]:
    """Read a photograph elsewhere.

    Args:
        kind: see `pipeline.reading.photograph_child`.
        most: pixels that are decoded; of a larger one only the size is told.

    Returns:
        Width and height as it is shown, and the picture, (H, W, 3) or (H, W, 4).

    Raises:
        MediaLimitExceeded, InputUnreadable, OutOfMemory: as `open_on_trial`; or it is damaged.
        EngineFailed: the process that reads does not start.
    """
    said = _POOL.ask(
        _line({"photograph": str(path.absolute()), "kind": kind, "most": most}, limits)
    )
    if not said.answer.startswith("{"):
        _check(path, said, limits, stage)
        text = f"{path.name}: the process that reads photographs ended with {said.ended}"
        raise EngineFailed(text, stage=stage)
    told = json.loads(said.answer)
    if "damaged" in told:
        text = f"{path.name} cannot be read as a photograph: {told['damaged']}"
        raise InputUnreadable(text, stage=stage)
    width, height = told["size"]
    if "shape" not in told:
        return (width, height), None
    return (width, height), np.frombuffer(said.data, np.uint8).reshape(told["shape"])


def _line(asked: dict[str, Any], limits: Limits) -> str:
    return json.dumps({**asked, "memory": _memory(limits), "seconds": limits.probe_timeout_s})


def _memory(limits: Limits) -> int:
    return _LEAST_MEMORY + _PIXEL_BYTES * min(limits.max_pixels, 2**27)


def _check(path: Path, said: _Said, limits: Limits, stage: Stage) -> None:
    """Raise what a process that did not answer well is a sign of; return where of nothing."""
    if said.answer == MEMORY:
        memory = _memory(limits)
        raise MediaLimitExceeded(
            f"{path.name}: opening it takes more than {memory} bytes of memory; convert it anew",
            stage=stage,
            limit="opening_bytes",
            max=memory,
        )
    if said.ended == -signal.SIGALRM:
        raise Clock(path, limits.probe_timeout_s).over()
    if said.ended == -signal.SIGKILL:
        raise OutOfMemory(f"{path.name}: the process that opened it was killed", stage=stage)
    if said.ended < 0:
        name = signal.Signals(-said.ended).name
        text = f"{path.name}: opening it ends the process that does so ({name})"
        raise InputUnreadable(text, stage=stage)


def start_trial_process() -> None:
    """Start a process now, so that the first file need not wait for it."""
    _POOL.start()


class _Said(NamedTuple):
    """What a process answered; how it ended where it did not answer well."""

    answer: str
    data: bytes = b""
    ended: int = 0


class _Pool:
    """Processes that wait for a file; as many as files are opened at the same time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.idle: list[_Process] = []
        """Those that wait."""

    def start(self) -> None:
        with self._lock:
            if not self.idle:
                self.idle.append(_Process())

    def ask(self, line: str) -> _Said:
        """The answer of a process that waits, or of a new one."""
        with self._lock:
            waited = self.idle.pop() if self.idle else None
        said = self._asked(waited or _Process(), line)
        if said.ended == -signal.SIGKILL and waited is not None:  # perhaps before it was asked
            said = self._asked(_Process(), line)
        return said

    def _asked(self, process: _Process, line: str) -> _Said:
        said = process.ask(line)
        if said.answer in ("", MEMORY):  # its memory may be used up
            return said._replace(ended=process.end())
        with self._lock:
            self.idle.append(process)
        return said

    def close(self) -> None:
        with self._lock:
            idle, self.idle = self.idle, []
        for process in idle:
            process.end()


class _Process:
    """It ends with its stdin, and by its own alarm."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            (sys.executable, "-P", "-m", "pipeline.reading.trial_child"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    def ask(self, line: str) -> _Said:
        """Its answer; empty where it ended."""
        asked, answers = self._pipes()
        try:
            asked.write(f"{line}\n".encode())
            asked.flush()
        except BrokenPipeError:
            return _Said("")
        answer = answers.readline().decode().strip()
        if not answer.startswith("{"):
            return _Said(answer)
        size = math.prod(json.loads(answer).get("shape", [0]))
        data = answers.read(size)
        return _Said(answer, data) if len(data) == size else _Said("")

    def end(self) -> int:
        """End it; the exit code, negative for a signal."""
        asked, answers = self._pipes()
        with contextlib.suppress(BrokenPipeError):
            asked.close()
        answers.close()
        return self._process.wait()

    def _pipes(self) -> tuple[IO[bytes], IO[bytes]]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        return self._process.stdin, self._process.stdout


_POOL = _Pool()
atexit.register(_POOL.close)
