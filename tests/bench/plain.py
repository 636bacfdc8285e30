"""What plain clients do with jobs of seconds, on the broker of the tests: why there is a pump.

Each scenario starts two replicas of `tests.bench.plain_replica`, and counts how often each job is
started until the group has committed it, or patience ends.
"""

from __future__ import annotations

import asyncio
import importlib.util
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.bench.overhead import servers
from tests.integration.lab import Lab
from tests.support.handles import KafkaHandle
from tests.support.processes import die_with_parent, wait_until

PATIENCE_S = 60.0


class Scene:
    """Two replicas, one topic of two partitions, one log of starts."""

    def __init__(self, mode: str, kafka: KafkaHandle, folder: Path, stack: ExitStack) -> None:
        self._mode, self._kafka, self._stack = mode, kafka, stack
        self.log = Path(tempfile.mkdtemp(dir=folder)) / "starts"
        self.log.touch()
        self.lab = Lab(kafka)
        kafka.create_topics({kafka.topics.requests: 2})

    def replica(self) -> subprocess.Popen[bytes]:
        """Start one."""
        prefix = self._kafka.prefix
        command = [sys.executable, "-m", "tests.bench.plain_replica", self._mode]
        process = subprocess.Popen(
            [*command, self._kafka.servers, prefix, str(self.log)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            preexec_fn=die_with_parent,
        )
        self._stack.callback(process.wait)
        self._stack.callback(process.kill)
        return process

    def send(self, seconds: float, partition: int) -> None:
        """Send a job of that length."""
        value = str(seconds).encode()
        asyncio.run(self.lab.send([{"value": value, "partition": partition}]))

    def lines(self, what: str) -> Counter[str]:
        """How often each record was started, or ended."""
        found = (line.split() for line in self.log.read_text().splitlines())
        return Counter(words[1] for words in found if words[0] == what)

    def until(self, what: Callable[[], bool], text: str) -> bool:
        """Wait; False when patience ends first."""
        try:
            wait_until(what, PATIENCE_S, text)
        except TimeoutError:
            return False
        return True

    def committed(self, *partitions: int) -> bool:
        """True when the first record of each partition is committed."""
        group = f"{self._kafka.prefix}-plain"
        return all(asyncio.run(self.lab.committed(p, group=group))[0] >= 1 for p in partitions)

    def told(self, begun: float, *partitions: int) -> str:
        """How it went on from here."""
        done = self.until(lambda: self.committed(*partitions), "commits")
        starts = ", ".join(map(str, sorted(self.lines("start").values())))
        after = f"after {time.monotonic() - begun:.0f} s"
        return f"{starts} starts; " + (f"committed {after}" if done else f"no commit {after}")


def _livelock(scene: Scene) -> str:
    scene.replica()
    scene.replica()
    begun = time.monotonic()
    scene.send(8.0, 0)
    return scene.told(begun, 0)


def _deploy(scene: Scene) -> str:
    begun = time.monotonic()
    first = scene.replica()
    scene.send(3.0, 0)
    scene.until(lambda: bool(scene.lines("start")), "a start")
    scene.replica()
    scene.until(lambda: bool(scene.lines("end")), "the other to have joined")
    scene.send(3.0, 1)
    scene.until(lambda: len(scene.lines("start")) == 2, "a start")
    first.terminate()
    return scene.told(begun, 0, 1)


def _join(scene: Scene) -> str:
    scene.replica()
    begun = time.monotonic()
    for partition in (0, 1):
        scene.send(14.0, partition)
    scene.until(lambda: len(scene.lines("start")) == 2, "both starts")
    scene.replica()
    return scene.told(begun, 0, 1)


SCENES: tuple[tuple[str, str, Callable[[Scene], str]], ...] = (
    ("one 8 s job, two replicas, FastStream ACK, max_poll 3 s", "ack", _livelock),
    ("SIGTERM during a 3 s job, FastStream max_workers=2 + MANUAL", "workers", _deploy),
    ("a replica joins during two 14 s jobs, faststream-concurrent-aiokafka", "kcm", _join),
)


@contextmanager
def _scene(mode: str, kafka: KafkaHandle, folder: Path) -> Iterator[Scene]:
    with ExitStack() as stack:
        yield Scene(mode, kafka, folder, stack)


def plain() -> Iterator[str]:
    """A line for each scenario."""
    with (
        tempfile.TemporaryDirectory(prefix="f2f-bench-") as name,
        servers(Path(name)) as (kafka, _),
    ):
        yield f"{kafka.name}:"
        for what, mode, play in SCENES:
            if mode == "kcm" and not importlib.util.find_spec("faststream_concurrent_aiokafka"):
                yield f"  {what}: not installed, so not run"
                continue
            with _scene(mode, KafkaHandle.fresh(kafka), Path(name)) as scene:
                yield f"  {what}: {play(scene)}"
