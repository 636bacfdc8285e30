"""What every test of deliveries stands on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from consumer.kafka import assignment, pump
from tests.integration.lab import Lab
from tests.support import packages
from tests.support.capabilities import unavailable
from tests.support.handles import KafkaHandle
from tests.support.kafka import KafkaCluster

LAST_COMMIT_S = 30.0


@pytest.fixture(autouse=True)
def patient_last_commits(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is committed is under test, not whether a busy machine is done with it in a second.

    How long a service may take to go is watched by the chaos tests, which run it as a process.
    """
    monkeypatch.setattr(pump, "UNWIND_S", LAST_COMMIT_S)
    monkeypatch.setattr(assignment, "REVOKE_TIMEOUT_S", LAST_COMMIT_S)


@pytest.fixture
def lab(kafka: KafkaHandle) -> Lab:
    """The intake under test on topics of this test's own."""
    kafka.create_topics()
    return Lab(kafka)


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[KafkaCluster]:
    """Three brokers."""
    if not packages.KAFKA.ready():
        unavailable("Apache Kafka was not built: `make test-servers`")
    made = KafkaCluster(packages.KAFKA.home, tmp_path / "cluster")
    try:
        made.start()
        yield made
    finally:
        made.stop()
