"""Who connects and asks for nothing is sent away; who waits for an answer is not."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send

from consumer.http import idle_connections
from consumer.http.idle_connections import TimedProtocol

CALL = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


@dataclass
class Site:
    """A server whose answer waits for a sign."""

    port: int = 0
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    sign: asyncio.Event = field(default_factory=asyncio.Event)
    writers: list[asyncio.StreamWriter] = field(default_factory=list)

    async def __call__(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        self.asked.set()
        await self.sign.wait()
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})

    async def connect(self, first: bytes) -> asyncio.StreamReader:
        """A connection that says something at once."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(first)
        await writer.drain()
        self.writers.append(writer)
        return reader


@pytest.fixture
async def site(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Site]:
    monkeypatch.setattr(idle_connections, "HEAD_S", 0.2)
    made = Site()
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        made.port = listener.getsockname()[1]
        config = uvicorn.Config(
            made, http=TimedProtocol, lifespan="off", log_config=None, timeout_keep_alive=60
        )
        server = uvicorn.Server(config)
        task = asyncio.create_task(server.serve([listener]))
        yield made
        made.sign.set()
        for writer in made.writers:
            writer.close()
        server.should_exit = True
        await task


@pytest.mark.parametrize("said", [b"", b"G", b"GET / HTTP/1.1\r\nHost: a\r\n"])
async def test_a_connection_without_a_call_is_closed(site: Site, said: bytes) -> None:
    reader = await site.connect(said)
    async with asyncio.timeout(120):
        assert await reader.read() == b""
    assert not site.asked.is_set()


async def test_a_call_is_answered_however_long_that_takes_and_then_the_connection_ends(
    site: Site,
) -> None:
    slow = await site.connect(CALL)
    async with asyncio.timeout(120):
        await site.asked.wait()
        await (await site.connect(b"")).read()  # by now the time for a head is over
        site.sign.set()
        assert (await slow.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 204")
        assert await slow.read() == b""
