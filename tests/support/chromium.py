"""Drives a headless Chromium over its DevTools pipe: no driver, no library, no port.

Source: Chrome DevTools Protocol; `--remote-debugging-pipe` reads JSON from file descriptor 3 and
writes to 4, each message ended by a NUL.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

PATH = shutil.which("chromium") or shutil.which("google-chrome")
LIMIT = 64 * 1024 * 1024
"""Longest message, bytes."""
OPTIONS = (
    "--headless=new",
    "--remote-debugging-pipe",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-extensions",
    "--disable-background-networking",
    "--autoplay-policy=no-user-gesture-required",
)


class Tab:
    """One page."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._session: str | None = None
        self._number = 0
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self.complaints: list[str] = []
        """Errors of scripts, the console and the content policy."""

    async def listen(self) -> None:
        """Take messages until the browser ends."""
        while True:
            try:
                data = await self._reader.readuntil(b"\0")
            except asyncio.IncompleteReadError:
                return
            message = json.loads(data[:-1])
            if "id" in message:
                self._waiting.pop(message["id"]).set_result(message)
            elif message["method"] == "Runtime.exceptionThrown":
                details = message["params"]["exceptionDetails"]
                self.complaints.append(json.dumps(details)[:500])
            elif message["method"] == "Log.entryAdded":
                entry = message["params"]["entry"]
                if entry["level"] == "error":
                    self.complaints.append(f"{entry['text']} {entry.get('url', '')}")

    async def call(self, method: str, **params: Any) -> dict[str, Any]:
        """One command."""
        self._number += 1
        future = asyncio.get_running_loop().create_future()
        self._waiting[self._number] = future
        message = {"id": self._number, "method": method, "params": params}
        if self._session is not None:
            message["sessionId"] = self._session
        self._writer.write(json.dumps(message).encode() + b"\0")
        answer = await asyncio.wait_for(future, 120)
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']}")
        result: dict[str, Any] = answer["result"]
        return result

    async def attach(self) -> None:
        """Open a page and listen to it."""
        target = await self.call("Target.createTarget", url="about:blank")
        made = await self.call("Target.attachToTarget", targetId=target["targetId"], flatten=True)
        self._session = made["sessionId"]
        for domain in ("Page", "Runtime", "Log", "DOM"):
            await self.call(f"{domain}.enable")

    async def size(self, width: int, height: int, *, phone: bool = False) -> None:
        """Set the viewport."""
        await self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=2 if phone else 1,
            mobile=phone,
        )

    async def go(self, url: str) -> None:
        """Load a page."""
        await self.call("Page.navigate", url=url)
        await self.until("document.readyState === 'complete' && location.href !== 'about:blank'")

    async def eval(self, script: str) -> Any:
        """The value of an expression."""
        answer = await self.call(
            "Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True
        )
        if "exceptionDetails" in answer:
            raise RuntimeError(json.dumps(answer["exceptionDetails"])[:500])
        return answer["result"].get("value")

    async def until(self, script: str, limit_s: float = 60.0) -> None:
        """Ask until an expression is true."""
        async with asyncio.timeout(limit_s):
            while not await self.eval(script):
                await asyncio.sleep(0.05)

    async def choose(self, selector: str, path: Path) -> None:
        """Put a file into an input."""
        root = await self.call("DOM.getDocument")
        node = await self.call(
            "DOM.querySelector", nodeId=root["root"]["nodeId"], selector=selector
        )
        await self.call("DOM.setFileInputFiles", nodeId=node["nodeId"], files=[str(path)])

    async def shot(self, path: Path) -> None:
        """A picture of the whole page."""
        made = await self.call("Page.captureScreenshot", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(made["data"]))


@asynccontextmanager
async def chromium(folder: Path) -> AsyncIterator[Tab]:
    """A browser with a profile of its own in `folder`."""
    to_browser, from_us = os.pipe()
    to_us, from_browser = os.pipe()
    browser = await _start(folder, to_browser, from_browser)
    os.close(to_browser)
    os.close(from_browser)
    reader, writer = await _streams(to_us, from_us)
    tab = Tab(reader, writer)
    listening = asyncio.create_task(tab.listen())
    try:
        await tab.attach()
        yield tab
    finally:
        writer.close()
        await _end(browser)
        listening.cancel()


async def _start(folder: Path, reads: int, writes: int) -> asyncio.subprocess.Process:
    """The browser, which finds its ends of the pipes at 3 and 4."""
    assert PATH is not None

    def wire() -> None:
        # Above 4 first: the pipes' own numbers may be 3 and 4.
        a, b = os.dup(reads), os.dup(writes)
        os.dup2(a, 3)
        os.dup2(b, 4)

    return await asyncio.create_subprocess_exec(
        PATH,
        *OPTIONS,
        f"--user-data-dir={folder}",
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
        close_fds=False,
        preexec_fn=wire,
        start_new_session=True,
    )


async def _streams(reads: int, writes: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Our ends of the pipes."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=LIMIT)
    await loop.connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(reads, "rb")
    )
    transport, protocol = await loop.connect_write_pipe(
        asyncio.streams.FlowControlMixin, os.fdopen(writes, "wb")
    )
    return reader, asyncio.StreamWriter(transport, protocol, None, loop)


async def _end(browser: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        browser.terminate()
    try:
        await asyncio.wait_for(browser.wait(), 10)
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(browser.pid, 9)
        await browser.wait()
