"""One child process of a worker, from its start to its end: told, heard, watched, killed.

It is killed when it is silent, takes too long to begin, or has a render that is overdue. What it
says goes to `consumer.workers.worker`, which knows what it was asked for and what its end means.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence

import structlog

from consumer.workers.devices import Device, child_environ
from consumer.workers.orphans import Orphans
from consumer.workers.protocol import MAX_LINE, Message, Ready, encode, read_child
from schemas.codes import ErrorCode

START_LIMIT_S = 600.0
"""Imports and model files of a cold machine, and compiling for its GPU, may take this long."""
LOOK_S = 0.2
MOST_SILENCE_S = 1.0
"""Of a child, between one look at it and the next, however late that comes."""
_GRAVE = ("WARNING ", "ERROR ", "CRITICAL ")
"""How grave lines of `rendering.let_the_log_speak` begin."""
log = structlog.get_logger("consumer.workers.worker")


class Child:
    """One process of `consumer.workers.worker_main`.

    Args:
        stall_timeout_s: silence after which it is killed.
        overdue: says whether, at this monotonic time, a render has not stopped as it should.
    """

    def __init__(
        self,
        device: Device,
        options: Sequence[str],
        stall_timeout_s: float,
        hear: Callable[[Message], None],
        overdue: Callable[[float], bool],
        orphans: Orphans,
    ) -> None:
        self.code: int | None = None
        """How it ended; None until then."""
        self.kill_code: ErrorCode | None = None
        """Why it was killed; None where it was not, or only because nobody needs it any more."""
        self.said: deque[str] = deque(maxlen=20)
        """Its last lines on stderr."""
        self._device = device
        self._options = options
        self._stall_timeout_s = stall_timeout_s
        self._hear = hear
        self._overdue = overdue
        self._orphans = orphans
        self._process: asyncio.subprocess.Process | None = None
        self._starting = True
        self._silent_s: float | None = None
        """None until it has said anything; until then the limit of the start counts."""

    @property
    def ready(self) -> bool:
        """Whether it ever said so."""
        return not self._starting

    @property
    def pid(self) -> int | None:
        """Its process id, once it has one."""
        return self._process.pid if self._process is not None else None

    async def live(self) -> None:
        """Start it, and stay until it has ended and was waited for."""
        started = time.monotonic()
        process = self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "consumer.workers.worker_main", *self._options),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=child_environ(self._device),
            limit=MAX_LINE,
            start_new_session=True,
        )
        try:
            async with asyncio.TaskGroup() as group:
                watch = group.create_task(self._watch(started))
                group.create_task(self._log(process))
                await self._listen(process)
                watch.cancel()
                self._kill(None)
        finally:
            self._kill(None)
            self.code = await process.wait()
            self._orphans.expect(process.pid)

    async def tell(self, message: Message) -> None:
        """Send a message; nothing happens where it has ended, which is seen elsewhere."""
        process = self._process
        if process is None or process.stdin is None:
            return
        with contextlib.suppress(ConnectionError, RuntimeError):
            process.stdin.write(encode(message))
            await process.stdin.drain()

    async def _listen(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        try:
            while line := await process.stdout.readline():
                self._silent_s = 0.0
                message = read_child(line)
                self._hear(message)
                if isinstance(message, Ready):
                    self._starting = False
        except ValueError as error:
            log.error("worker speaks nonsense", device=self._device.label, error=str(error)[:500])

    async def _watch(self, started: float) -> None:
        """Kill it when it is silent, or does not begin, or does not stop a render in time."""
        looked = started
        while True:
            await asyncio.sleep(LOOK_S)
            self._orphans.reap()
            now = time.monotonic()
            if self._silent_s is not None:
                # what came while this process itself stood still is read only after this
                self._silent_s += min(now - looked, MOST_SILENCE_S)
                if self._silent_s > self._stall_timeout_s:
                    self._kill(ErrorCode.WORKER_STALLED)
            looked = now
            if self._starting and now - started > START_LIMIT_S:
                self._kill(ErrorCode.WORKER_STALLED)
            if self._overdue(now):
                self._kill(ErrorCode.WORKER_CRASHED)

    async def _log(self, process: asyncio.subprocess.Process) -> None:
        assert process.stderr is not None
        while line := await _line(process.stderr):
            text = line.decode("utf-8", "replace").rstrip()
            self.said.append(text)
            say = log.warning if text.startswith(_GRAVE) else log.info
            say("worker says", device=self._device.label, worker=process.pid, line=text[:2000])

    def _kill(self, code: ErrorCode | None) -> None:
        process = self._process
        if process is None or process.returncode is not None:
            return
        if code is not None and self.kill_code is None:
            self.kill_code = code
            log.warning("worker killed", device=self._device.label, reason=code.value)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


async def _line(stream: asyncio.StreamReader) -> bytes:
    """The next line of text for people; b"" at the end. One of more than `MAX_LINE` is dropped."""
    try:
        return await stream.readline()
    except ValueError:
        return b"(a line too long to be shown)\n"
