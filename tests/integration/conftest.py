"""What every test of deliveries stands on."""

from __future__ import annotations

import pytest

from consumer.kafka import assignment, pump
from tests.integration.lab import Lab
from tests.support.handles import KafkaHandle

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
