"""A TCP proxy in front of a server that cuts, drips or refuses, as a test says."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit


@dataclass
class Toxic:
    """The proxy's address and what it does to answers."""

    endpoint: str = ""
    cuts: list[int] = field(default_factory=list)
    """Bytes of answers after which each next connection is cut; then none is."""
    refuse: int = 0
    """How many of the next requests are answered by `refusal`."""
    refusal: str = "503 Slow Down"
    """Status, and behind a line end the body."""
    connections: int = 0
    cut: int = 0
    """Connections that were cut so far."""


@asynccontextmanager
async def toxic(endpoint: str) -> AsyncIterator[Toxic]:
    """Run a proxy in front of `endpoint`."""
    target = urlsplit(endpoint)
    state = Toxic()
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            await _connection(state, target.hostname or "", target.port or 80, reader, writer)
        writer.close()
        tasks.discard(task)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    state.endpoint = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield state
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _connection(
    state: Toxic, host: str, port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    state.connections += 1
    if state.refuse:
        state.refuse -= 1
        head = await reader.readuntil(b"\r\n\r\n")
        if sent := re.search(rb"(?i)\r\ncontent-length: *([0-9]+)", head):
            await reader.readexactly(int(sent[1]))  # else the answer may be lost
        status, _, body = state.refusal.partition("\n")
        size = f"Content-Length: {len(body)}"
        writer.write(f"HTTP/1.1 {status}\r\n{size}\r\nConnection: close\r\n\r\n{body}".encode())
        await writer.drain()
        return
    left = state.cuts.pop(0) if state.cuts else None
    up_reader, up_writer = await asyncio.open_connection(host, port)
    forward = asyncio.create_task(_pump(reader, up_writer))
    try:
        while data := await up_reader.read(4096):
            if left is not None:
                data, left = data[:left], left - len(data)
            writer.write(data)
            await writer.drain()
            if left is not None and left <= 0:
                state.cut += 1
                writer.transport.abort()
                return
    finally:
        forward.cancel()
        await asyncio.gather(forward, return_exceptions=True)
        up_writer.close()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
