"""Why there is no first connection is said in words, whatever it fails by."""

from __future__ import annotations

import asyncio
import socket

import pytest

from consumer.kafka import connection_errors, producing
from consumer.kafka.producing import Line
from consumer.settings.load import load


async def test_brokers_that_take_a_connection_and_answer_nothing_are_told_of_as_a_time_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As behind a firewall that drops: the log and readiness gave an empty reason."""
    monkeypatch.setattr(producing, "REQUEST_TIMEOUT_MS", 100)
    monkeypatch.setattr(
        producing, "CONNECTION_ERRORS", connection_errors.ConnectionErrors()
    )  # what failed in other tests is none of this
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        line = Line(load({"KAFKA_BOOTSTRAP_SERVERS": f"127.0.0.1:{port}"}))
        starting = asyncio.create_task(line.start())
        async with asyncio.timeout(120):
            while line.unconnected is None:
                await asyncio.sleep(0.01)
        assert line.unconnected == "TimeoutError"
        starting.cancel()
        await asyncio.wait((starting,))
        await line.stop()
