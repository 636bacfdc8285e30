"""The socket that the gateway serves on."""

from __future__ import annotations

import asyncio
import socket

import pytest

from consumer.http import gateway_server


async def test_a_reader_that_takes_nothing_of_its_answer_is_given_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A stopped process or a frozen page kept one of the calls that are taken at a time."""
    monkeypatch.setattr(gateway_server, "SILENT_S", 1)
    given_up = asyncio.Event()

    async def pour(_: asyncio.StreamReader, answer: asyncio.StreamWriter) -> None:
        try:
            while True:
                answer.write(b"x" * 65_536)
                await answer.drain()
        except OSError:
            given_up.set()
        finally:
            answer.close()

    with gateway_server._bind("127.0.0.1", 0) as listener:
        async with await asyncio.start_server(pour, sock=listener):
            with socket.create_connection(listener.getsockname()):
                await asyncio.wait_for(given_up.wait(), 120)
