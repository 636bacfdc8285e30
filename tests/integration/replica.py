"""`python -m tests.integration.replica HISTORY`: a replica as a process, for tests that kill it.

The real intake, with work that sleeps as its request says. Every start, end and commit is a line
of JSON appended to HISTORY, which all replicas share; a line is one write, so their order holds.
SIGTERM drains for `F2F_DRAIN_S`, as the service does.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from typing import Any

from consumer.jobs import Job, Verdict
from consumer.kafka import assignment, pump
from consumer.kafka.commits import Committer
from consumer.kafka.control import Cancellations
from consumer.kafka.handler import Handler
from consumer.kafka.subscriber import Intake
from consumer.settings import Settings
from consumer.settings.load import load
from tests.integration.lab import Work


class History:
    """Appends lines; O_APPEND makes each a single step."""

    def __init__(self, path: str) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def say(self, what: str, **facts: Any) -> None:
        line = json.dumps({"what": what, "pid": os.getpid(), **facts}) + "\n"
        os.write(self._file, line.encode())


class LoggedWork(Work):
    """Work that tells the history."""

    def __init__(self, history: History) -> None:
        super().__init__()
        self._history = history

    async def process(self, job: Job) -> Verdict:
        place = [job.record.topic, job.record.partition, job.record.offset]
        self._history.say("start", place=place)
        verdict = await super().process(job)
        self._history.say("end", place=place)
        return verdict


def log_commits(history: History) -> None:
    """Have every commit told before it is sent."""
    send = Committer._send

    async def told(self: Committer, consumer: Any, offsets: Any) -> bool:
        for partition, (offset, _) in offsets.items():
            history.say("commit", place=[*partition, offset])
        return await send(self, consumer, offsets)

    Committer._send = told  # type: ignore[method-assign]


async def run(settings: Settings, history: History) -> None:
    """Take records until SIGTERM."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    handler = Handler(LoggedWork(history), Cancellations(), settings.topics.retry)
    intake = Intake(settings, handler, lambda: int(os.environ["LIMIT"]))
    await intake.start()
    history.say("ready")
    pump.UNWIND_S = assignment.REVOKE_TIMEOUT_S = 30.0  # see tests/integration/conftest.py
    await stop.wait()
    await intake.pump.drain(settings.drain_s)
    await intake.stop()
    history.say("left")


if __name__ == "__main__":
    book = History(sys.argv[1])
    log_commits(book)
    asyncio.run(run(load(), book))
