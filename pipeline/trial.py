"""Opening a file on trial, in a process of its own that can be ended, before this one opens it.

libavformat reads words and indexes in loops that look at no clock: 300,000 tags in 4 MB take it
minutes, and a thousand edits in 2 MB take gigabytes. In a worker that would hold a place for as
long as a job may take, and then end the jobs beside it. What was opened here in time is opened as
quickly a second time. Such a process is used again and again, so that a trial costs a file what
opening it costs.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import logging
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import IO

from pipeline.container import Clock, known_kind, open_options
from pipeline.errors import InputUnreadable, MediaLimitExceeded, OutOfMemory
from pipeline.trial_child import MEMORY, OPENED
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
        stage: that errors name.

    Raises:
        MediaLimitExceeded: opening takes longer than `probe_timeout_s`, or too much memory.
        InputUnreadable: opening it ends the process.
        OutOfMemory: the kernel ended the process.
    """
    memory = _LEAST_MEMORY + _PIXEL_BYTES * min(limits.max_pixels, 2**27)
    asked = {
        "file": f"file:{path.absolute()}",
        "format": known_kind(path),
        "options": open_options(limits),
        "memory": memory,
        "seconds": limits.probe_timeout_s,
    }
    answer, ended = _POOL.ask(json.dumps(asked))
    if answer == OPENED:
        return
    if answer == MEMORY:
        raise MediaLimitExceeded(
            f"{path.name}: opening it takes more than {memory} bytes of memory; convert it anew",
            stage=stage,
            limit="opening_bytes",
            max=memory,
        )
    if ended == -signal.SIGALRM:
        raise Clock(path, limits.probe_timeout_s).over()
    if ended == -signal.SIGKILL:
        raise OutOfMemory(f"{path.name}: the process that opened it was killed", stage=stage)
    if ended >= 0:  # it did not come so far: no reason to refuse a file
        _log.warning("%s opened without a trial: the trial's process ended with %d", path, ended)
        return
    raise InputUnreadable(
        f"{path.name}: opening it ends the process that does so ({signal.Signals(-ended).name})",
        stage=stage,
    )


def get_ready() -> None:
    """Start a process now, so that the first file need not wait for it."""
    _POOL.get_ready()


class _Pool:
    """Processes that wait for a file; as many as files are opened at the same time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.idle: list[_Process] = []
        """Those that wait."""

    def get_ready(self) -> None:
        with self._lock:
            if not self.idle:
                self.idle.append(_Process())

    def ask(self, line: str) -> tuple[str, int]:
        """The answer, and how the process ended where there is none."""
        with self._lock:
            waited = self.idle.pop() if self.idle else None
        answer, ended = self._asked(waited or _Process(), line)
        if ended == -signal.SIGKILL and waited is not None:  # perhaps before it was asked
            answer, ended = self._asked(_Process(), line)
        return answer, ended

    def _asked(self, process: _Process, line: str) -> tuple[str, int]:
        answer = process.ask(line)
        if answer != OPENED:  # its memory may be used up
            return answer, process.end()
        with self._lock:
            self.idle.append(process)
        return answer, 0

    def close(self) -> None:
        with self._lock:
            idle, self.idle = self.idle, []
        for process in idle:
            process.end()


class _Process:
    """It ends with its stdin, and by its own alarm."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            (sys.executable, "-P", "-m", "pipeline.trial_child"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    def ask(self, line: str) -> str:
        """Its answer; empty where it ended."""
        asked, answers = self._pipes()
        try:
            asked.write(f"{line}\n")
            asked.flush()
        except BrokenPipeError:
            return ""
        return answers.readline().strip()

    def end(self) -> int:
        """End it; the exit code, negative for a signal."""
        asked, answers = self._pipes()
        with contextlib.suppress(BrokenPipeError):
            asked.close()
        answers.close()
        return self._process.wait()

    def _pipes(self) -> tuple[IO[str], IO[str]]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        return self._process.stdin, self._process.stdout


_POOL = _Pool()
atexit.register(_POOL.close)
