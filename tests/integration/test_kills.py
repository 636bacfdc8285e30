"""Replicas as processes that are killed or asked to go: what is repeated, and what never is."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.lab import Lab, job, until
from tests.support.capabilities import Can
from tests.support.handles import KafkaHandle
from tests.support.processes import die_with_parent, whole_lines

pytestmark = pytest.mark.slow


MORTAL = {"KAFKA_SESSION_TIMEOUT_S": "6"}


class Crew:
    """Replicas of one group, and the history that they write."""

    def __init__(self, lab: Lab, folder: Path) -> None:
        self._lab = lab
        self._path = folder / "history"
        self._log = folder / "replicas.log"
        self._path.touch()
        self.alive: list[subprocess.Popen[bytes]] = []

    async def start(self, limit: int = 4, **env: str) -> subprocess.Popen[bytes]:
        """Start a replica and wait until it is a member."""
        with self._log.open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "tests.integration.replica", str(self._path)],
                env={**os.environ, **self._lab.env, **MORTAL, "LIMIT": str(limit), **env},
                stderr=log,
                preexec_fn=die_with_parent,
            )
        self.alive.append(process)

        async def ready() -> bool:
            if process.poll() is not None:
                raise AssertionError(f"a replica ended: {self._log.read_text()[-2000:]}")
            return any(e["what"] == "ready" and e["pid"] == process.pid for e in self.history())

        await until(ready)
        return process

    async def end(self, process: subprocess.Popen[bytes], number: signal.Signals) -> int:
        """Send a signal and wait for the end; returns the exit code."""
        self.alive.remove(process)
        process.send_signal(number)
        return await asyncio.to_thread(process.wait, 120)

    def history(self) -> list[dict[str, Any]]:
        """What happened so far, in order."""
        return [json.loads(line) for line in whole_lines(self._path)]

    def places(self, what: str) -> list[tuple[str, int, int]]:
        """Records that started or ended, in order."""
        return [tuple(e["place"]) for e in self.history() if e["what"] == what]

    def check_commits(self) -> None:
        """No commit ever passed a record that no replica had finished before it was sent."""
        ended: set[tuple[str, int, int]] = set()
        for event in self.history():
            if event["what"] == "end":
                ended.add(tuple(event["place"]))
            elif event["what"] == "commit":
                topic, partition, offset = event["place"]
                passed = [n for n in range(offset) if (topic, partition, n) not in ended]
                assert not passed, f"{event} passed {passed}"

    def kill_all(self) -> None:
        for process in self.alive:
            process.kill()
            process.wait(120)


@pytest.fixture
def lab(kafka: KafkaHandle) -> Lab:
    kafka.require(Can.GROUPS, Can.ADMIN)
    kafka.create_topics({**dict.fromkeys(kafka.topics.all(), 1), kafka.topics.requests: 6})
    return Lab(kafka)


@pytest.fixture
def crew(lab: Lab, tmp_path: Path) -> Iterator[Crew]:
    made = Crew(lab, tmp_path)
    yield made
    made.kill_all()


async def test_after_sigkill_only_the_unfinished_is_done_again(lab: Lab, crew: Crew) -> None:
    times = ["60", "0", "0", "60", "0"]
    await lab.send([{"value": job(seconds=s)} for s in times])
    process = await crew.start(limit=5)

    async def committed() -> bool:
        return list((await lab.committed())[1]) == [(1, 3), (4, 5)]

    await until(committed)
    await crew.end(process, signal.SIGKILL)
    again = await crew.start(limit=5)

    async def both() -> bool:
        return len(crew.places("start")) == 7

    await until(both)
    await crew.end(again, signal.SIGKILL)
    assert sorted(offset for _, _, offset in crew.places("start")[5:]) == [0, 3]


async def test_sigterm_of_one_of_two_replicas_repeats_nothing_that_was_finished(
    lab: Lab, crew: Crew
) -> None:
    count = 36
    first = await crew.start(F2F_DRAIN_S="60")
    await crew.start(F2F_DRAIN_S="60")
    # only now: its join moves partitions, and with them jobs that may end here and begin there
    await lab.send(
        [{"value": job(seconds=str(0.3 + n % 3)), "partition": n % 6} for n in range(count)]
    )

    async def some() -> bool:
        return len(crew.places("end")) >= 6

    await until(some)
    assert await crew.end(first, signal.SIGTERM) == 0
    for partition in range(6):
        await lab.until_committed(count // 6, partition)
    _check_each_once_finished(crew, count)
    crew.check_commits()


async def test_a_drain_whose_grace_ends_exits_0_and_leaves_the_rest_to_others(
    lab: Lab, crew: Crew
) -> None:
    await lab.send([{"value": job(seconds="600")}, {"value": job(seconds="0")}])
    process = await crew.start(F2F_DRAIN_S="0.5")

    async def committed() -> bool:
        return list((await lab.committed())[1]) == [(1, 2)]

    await until(committed)
    assert await crew.end(process, signal.SIGTERM) == 0  # within seconds, where the job has minutes
    await crew.start()

    async def again() -> bool:
        return len(crew.places("start")) == 3

    await until(again)
    assert crew.places("start")[2][2] == 0


async def test_static_members_that_restart_repeat_nothing(lab: Lab, crew: Crew) -> None:
    count = 60
    names = ("pod-0", "pod-1")
    # a restart takes seconds where processors are short; whoever stays away longer is replaced
    patient: dict[str, Any] = {"F2F_DRAIN_S": "60", "KAFKA_SESSION_TIMEOUT_S": "120"}
    replicas = {name: await crew.start(KAFKA_GROUP_INSTANCE_ID=name, **patient) for name in names}
    # only now: the very first join of the second one does move partitions
    await lab.send([{"value": job(seconds="0.7"), "partition": n % 6} for n in range(count)])
    for name in names:
        assert await crew.end(replicas[name], signal.SIGTERM) == 0
        await crew.start(KAFKA_GROUP_INSTANCE_ID=name, **patient)
    for partition in range(6):
        await lab.until_committed(count // 6, partition)
    crew.check_commits()
    assert max(Counter(crew.places("start")).values()) == 1, "static: not even moved jobs"


def _check_each_once_finished(crew: Crew, count: int) -> None:
    """Every record ended, and none was started after it had ended."""
    ended: set[tuple[str, int, int]] = set()
    for event in crew.history():
        if event["what"] == "end":
            ended.add(tuple(event["place"]))
        elif event["what"] == "start":
            assert tuple(event["place"]) not in ended, f"{event} was finished before"
    assert len(ended) == count
