"""What stands before every route of the gateway, in front of a small app."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx2
import pytest
import uvicorn
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from consumer.http import gateway_guard
from consumer.http.gateway_guard import Guard
from consumer.settings.load import load


async def reads(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers with the length of the body."""
    body = await Request(scope, receive).body()
    await Response(str(len(body)))(scope, receive, send)


async def streams(scope: Scope, receive: Receive, send: Send) -> None:
    """Sends words without end to who asks by GET."""

    async def words() -> AsyncIterator[bytes]:
        while True:
            yield b": still here\n\n"
            await asyncio.sleep(0)

    assert scope["method"] == "GET"
    await StreamingResponse(words())(scope, receive, send)


@asynccontextmanager
async def guarded(app: ASGIApp) -> AsyncIterator[int]:
    """The app behind the guard; its port."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        config = uvicorn.Config(
            Guard(app, load({}), "http://127.0.0.1:9000"), lifespan="off", log_config=None
        )
        server = uvicorn.Server(config)
        task = asyncio.create_task(server.serve([listener]))
        try:
            yield listener.getsockname()[1]
        finally:
            server.should_exit = True
            await task


async def head_of(port: int, call: bytes) -> bytes:
    """Send a call as it stands; the head of the answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(call)
    try:
        async with asyncio.timeout(120):
            return await reader.readuntil(b"\r\n\r\n")
    finally:
        writer.close()


@pytest.mark.parametrize("packed", ["gzip", "br, gzip", "IDENTITY"])
async def test_a_packed_body_is_called_that_and_no_broken_json(packed: str) -> None:
    async with guarded(reads) as port, httpx2.AsyncClient() as http:
        answer = await http.post(
            f"http://127.0.0.1:{port}/v1/jobs", content=b"x", headers={"content-encoding": packed}
        )
    if packed == "IDENTITY":
        assert answer.text == "1"
        return
    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (422, "INVALID_REQUEST")
    assert f"Content-Encoding '{packed}'" in problem["detail"]


@pytest.mark.parametrize("sent", [b"", b"{", b"{" * 19])
async def test_a_body_that_does_not_come_gives_its_call_up(
    sent: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The network of its caller may be gone: one of the calls at a time was lost with each."""
    monkeypatch.setattr(gateway_guard, "BODY_S", 0.2)
    async with guarded(reads) as port:
        call = b"POST /v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Length: 20\r\n\r\n" + sent
        head = await head_of(port, call)
    assert head.startswith(b"HTTP/1.1 408")
    assert b"x-face2face-code: BODY_TOO_SLOW" in head


async def test_a_body_that_comes_in_pieces_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(1000):
            yield b"1234"

    async with guarded(reads) as port, httpx2.AsyncClient(timeout=120, trust_env=False) as http:
        answer = await http.post(f"http://127.0.0.1:{port}/v1/jobs", content=pieces())
    assert (answer.status_code, answer.text) == (200, "4000")


@pytest.mark.parametrize(
    "header",
    [b"Host: [", b"Host: localhost\r\nOrigin: http://[", b"Host: localhost:x\r\nOrigin: ]"],
)
async def test_addresses_that_are_none_are_foreign_and_no_defect(header: bytes) -> None:
    async with guarded(reads) as port:
        call = b"POST / HTTP/1.1\r\n" + header + b"\r\nContent-Length: 0\r\n\r\n"
        assert b"x-face2face-code: FOREIGN_ORIGIN" in await head_of(port, call)


async def test_probes_are_answered_while_all_calls_are_taken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A thousand callers who waited for their jobs had the platform end the gateway, and theirs."""
    monkeypatch.setattr(gateway_guard, "CALLS", 2)
    async with guarded(streams) as port:
        waiting = [await asyncio.open_connection("127.0.0.1", port) for _ in range(2)]
        for reader, writer in waiting:
            writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            await reader.readuntil(b"\r\n\r\n")
        call = b"HEAD %s HTTP/1.1\r\nHost: localhost\r\n\r\n"
        refused = await head_of(port, call % b"/v1/jobs/x")
        assert refused.startswith(b"HTTP/1.1 503")
        assert b"x-face2face-code: BUSY" in refused
        assert b"connection: close" in refused.lower()
        for probe in (b"/livez", b"/readyz", b"/health", b"/metrics"):
            assert (await head_of(port, call % probe)).startswith(b"HTTP/1.1 200")
        for _, writer in waiting:
            writer.close()
        async with asyncio.timeout(120):
            while not (await head_of(port, call % b"/v1/jobs/x")).startswith(b"HTTP/1.1 200"):
                await asyncio.sleep(0.01)


async def test_head_ends_with_its_head_also_where_get_is_a_stream() -> None:
    async with guarded(streams) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"HEAD / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        async with asyncio.timeout(120):
            answer = await reader.read()
        writer.close()
    assert answer.startswith(b"HTTP/1.1 200")
    assert answer.endswith(b"\r\n\r\n")
