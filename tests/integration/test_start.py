"""The consumer's parent starts light: it joins its group without torch, numpy or av."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.handles import KafkaHandle
from tests.support.processes import free_port, wait_until
from tests.support.s3 import http_answers

HEAVY = {"torch", "numpy", "av", "PIL", "pipeline"}


@pytest.mark.slow
def test_the_parent_joins_its_group_and_serves_without_anything_heavy(
    kafka: KafkaHandle, service_env: dict[str, str], tmp_path: Path
) -> None:
    kafka.create_topics()
    port = free_port()
    log = tmp_path / "importtime.log"
    with log.open("w") as said:
        process = subprocess.Popen(
            [sys.executable, "-X", "importtime", "-m", "consumer.cli", "run"],
            stdout=subprocess.DEVNULL,
            stderr=said,
            env={**os.environ, **service_env, "F2F_HTTP_PORT": str(port)},
        )
    try:
        wait_until(lambda: http_answers(f"http://127.0.0.1:{port}/readyz"), 120, "readiness")
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(120)
    text = log.read_text(encoding="utf-8", errors="replace")
    imported = set(re.findall(r"^import time: +\d+ \| +\d+ \| +(\w+)", text, re.MULTILINE))
    assert {"aiokafka", "faststream", "pydantic"} <= imported, text[-2000:]
    assert sorted(imported & HEAVY) == []
    assert "rich.console" not in text, "structlog's coloured tracebacks are nothing for a service"
    assert process.returncode == 0
