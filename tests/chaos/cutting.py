"""A TCP proxy before the store that hurts connections at random: cut, refuse, drip."""

from __future__ import annotations

import asyncio
import contextlib
import random
import threading
from collections import Counter
from urllib.parse import urlsplit

CHUNK = 16 * 1024
DRIP_BYTES, DRIP_S = 700, 0.05
REFUSAL = b"HTTP/1.1 503 Slow Down\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class Cutter:
    """The proxy, in a thread with a loop of its own.

    Args:
        endpoint: the store, http://host:port.
        dice: which connection is hurt, how, and after how many bytes.
        cuts: connections that are cut before all others are let pass.
    """

    def __init__(self, endpoint: str, dice: random.Random, cuts: int) -> None:
        target = urlsplit(endpoint)
        self._host, self._port = target.hostname or "", target.port or 80
        self._dice = dice
        self._left = cuts
        self.done: Counter[str] = Counter()
        """What was done to connections so far: cut, refuse, drip, pass."""
        self.endpoint = ""
        self._ready = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="cutter", daemon=True)

    def start(self) -> None:
        self._thread.start()
        self._ready.wait(120)

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(120)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(asyncio.start_server(self._serve, "127.0.0.1", 0))
        self.endpoint = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        self._ready.set()
        self._loop.run_forever()

    def _fate(self) -> str:
        if self._left <= 0:
            return "pass"
        # none is let pass: a pool would keep just those that are never cut
        return self._dice.choices(("cut", "refuse", "drip"), (80, 13, 7))[0]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        fate = self._fate()
        self.done[fate] += 1
        if fate == "cut":
            self._left -= 1
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            if fate == "refuse":
                await reader.readuntil(b"\r\n\r\n")
                writer.write(REFUSAL)
                await writer.drain()
            else:
                await self._pass_on(fate, reader, writer)
        writer.close()

    async def _pass_on(
        self, fate: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        up_reader, up_writer = await asyncio.open_connection(self._host, self._port)
        limits: list[int | None] = [None, None]
        if fate != "pass":  # either way, after anything from nothing to megabytes
            limits[self._dice.randrange(2)] = int(10 ** self._dice.uniform(0, 6.5)) - 1
        ways = [
            asyncio.create_task(_pump(reader, up_writer, limits[0], drip=False)),
            asyncio.create_task(_pump(up_reader, writer, limits[1], drip=fate == "drip")),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            for end in (up_writer, writer):
                end.transport.abort() if fate != "pass" else end.close()


async def _pump(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, limit: int | None, *, drip: bool
) -> None:
    """Pass bytes on until the end, or until so many have passed."""
    while data := await reader.read(DRIP_BYTES if drip else CHUNK):
        if limit is not None:
            data, limit = data[:limit], limit - len(data)
        writer.write(data)
        await writer.drain()
        if drip:
            await asyncio.sleep(DRIP_S)
        if limit is not None and limit <= 0:
            return
