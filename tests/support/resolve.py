"""Finds a Kafka and an S3 for the tests: given address, Docker, built package, embedded.

The first that is there wins and is named in the header of the run. `F2F_TEST_SERVERS=embedded`
(or `package`, `docker`) pins the choice.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Protocol

from tests.support.capabilities import Can
from tests.support.embedded import EmbeddedKafkaServer, EmbeddedS3Server
from tests.support.kafka import ApacheKafka, DockerKafka, GivenKafka
from tests.support.packages import KAFKA, MINIO, VERSITYGW
from tests.support.processes import ServerFailed
from tests.support.s3 import DockerS3, GivenS3, MinioServer, VersityServer


class KafkaServer(Protocol):
    """A broker that tests may use."""

    capabilities: frozenset[Can]

    @property
    def name(self) -> str:
        """What the header calls it."""

    @property
    def servers(self) -> str:
        """Bootstrap addresses, comma-separated."""

    def start(self) -> None:
        """Start it, or check that it answers; ServerFailed otherwise."""

    def stop(self) -> None:
        """Stop it when it is ours."""


class S3Server(Protocol):
    """An object store that tests may use."""

    capabilities: frozenset[Can]
    access_key: str
    secret_key: str

    @property
    def name(self) -> str:
        """What the header calls it."""

    @property
    def endpoint(self) -> str:
        """http://host:port"""

    def start(self) -> None:
        """Start it, or check that it answers; ServerFailed otherwise."""

    def stop(self) -> None:
        """Stop it when it is ours."""


@cache
def docker_answers() -> bool:
    """True when a Docker daemon can be used."""
    if shutil.which("docker") is None:
        return False
    try:
        done = subprocess.run(
            ["docker", "version", "--format", "{{.Server.Version}}"],
            capture_output=True,
            timeout=120,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def _wanted(kind: str) -> bool:
    pinned = os.environ.get("F2F_TEST_SERVERS", "")
    if pinned not in ("", "docker", "package", "embedded"):
        raise ServerFailed(f"F2F_TEST_SERVERS={pinned!r}: must be docker, package or embedded")
    return pinned in ("", kind)


def kafka_choice() -> tuple[str, Callable[[Path], KafkaServer]]:
    """Name and maker (from an empty folder) of the broker that this run takes."""
    given = os.environ.get("F2F_TEST_KAFKA")
    if given:
        return f"given: {given}", lambda _: GivenKafka(given)
    if _wanted("docker") and docker_answers():
        return DockerKafka.name, lambda _: DockerKafka()
    if _wanted("package") and KAFKA.ready() and shutil.which("java"):
        return ApacheKafka.name, lambda folder: ApacheKafka(KAFKA.home, folder / "kafka")
    return EmbeddedKafkaServer.name, lambda _: EmbeddedKafkaServer()


def s3_choices() -> Iterator[tuple[str, Callable[[Path], S3Server]]]:
    """Names and makers of the stores that this run takes: the first is the store of most tests."""
    given = os.environ.get("F2F_TEST_S3")
    if given:
        yield "given: F2F_TEST_S3", lambda _: GivenS3(given)
    elif _wanted("docker") and docker_answers():
        yield DockerS3.name, lambda _: DockerS3()
    elif _wanted("package") and MINIO.ready():
        yield MinioServer.name, lambda folder: MinioServer(folder / "minio")
    if _wanted("package") and VERSITYGW.ready():
        yield VersityServer.name, lambda folder: VersityServer(folder / "versitygw")
    yield EmbeddedS3Server.name, lambda _: EmbeddedS3Server()


def header() -> list[str]:
    """What the run's header says about its servers."""
    stores = [name for name, _ in s3_choices()]
    rest = f" (second: {stores[1]})" if len(stores) > 1 else ""
    return [f"kafka: {kafka_choice()[0]}", f"s3: {stores[0]}{rest}"]
