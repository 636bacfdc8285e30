"""`face2face topics apply` against real brokers, as an operator calls it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

from tests.support.capabilities import Can
from tests.support.handles import KafkaHandle


def _apply(kafka: KafkaHandle, *arguments: str) -> tuple[int, dict[str, Any]]:
    done = subprocess.run(
        [sys.executable, "-m", "consumer.cli", "topics", "apply", *arguments, "--json"],
        capture_output=True,
        text=True,
        env={**os.environ, **kafka.env},
        timeout=120,
        check=False,
    )
    return done.returncode, json.loads(done.stdout)


def test_too_few_brokers_stop_what_would_be_made_and_nothing_that_is_there(
    kafka: KafkaHandle,
) -> None:
    """It is documented as safe to repeat, and ended with 2 where one broker has every topic."""
    kafka.require(Can.ADMIN)
    code, said = _apply(kafka, "--replication-factor", "90")
    assert code == 2
    assert "say --replication-factor" in said["error"]["message"]
    assert _apply(kafka, "--replication-factor", "1")[0] == 0
    code, said = _apply(kafka, "--replication-factor", "90")
    assert code == 0
    assert {topic["action"] for topic in said["topics"]} == {"keep"}
