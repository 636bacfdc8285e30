"""The body of a remote input on its way to disk: how much, how fast, and of what kind."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import AsyncIterable
from dataclasses import dataclass
from typing import Any, BinaryIO

from consumer.faults import Fault
from consumer.remote.download import Whole
from consumer.remote.sniff import HEAD, looks_like_text, media_kind
from consumer.settings import Settings
from schemas.codes import ErrorCode, Stage

BLOCK = 1024 * 1024


@dataclass(frozen=True, slots=True)
class RemotePolicy:
    """What may be fetched, and how much of it."""

    hosts: tuple[str, ...] = ()
    """Patterns of `consumer.remote.addresses.allowed`; none allow nothing."""
    loopback: bool = False
    """Also http(s) on this machine's loopback, any port."""
    max_bytes: int = 2 * 1024**3
    total_s: float = 600.0
    """Wall seconds for all hops and the body."""
    connect_s: float = 10.0
    idle_s: float = 20.0
    """Longest silence within the transfer."""
    drip_window_s: float = 30.0
    drip_bytes: int = 64 * 1024
    """A server that sends less than this in a window is left."""

    @classmethod
    def of(cls, settings: Settings) -> RemotePolicy:
        """The policy that the settings ask for."""
        return cls(
            hosts=settings.allowed_hosts,
            loopback=settings.allow_loopback,
            max_bytes=settings.max_input_bytes,
            total_s=settings.remote_timeout_s,
        )


class Body:
    """Takes a body to disk, watching its beginning, size and speed."""

    def __init__(self, policy: RemotePolicy, host: str, out: BinaryIO) -> None:
        self._policy = policy
        self._host = host
        self._out = out
        self._digest = hashlib.sha256()
        self._block = bytearray()
        self._done = 0
        self._known = False

    async def pump(self, stream: AsyncIterable[bytes]) -> Whole:
        """Take all of it; raises Fault as `fetch_remote` does."""
        window, bytes_then = time.monotonic(), 0
        async for data in stream:
            self._block += data
            self._done += len(data)
            check_size(self._host, self._done, self._policy.max_bytes)
            if not self._known and self._done >= HEAD:
                self._sniff()
            if len(self._block) >= BLOCK:
                await self._write()
            now = time.monotonic()
            if now - window >= self._policy.drip_window_s:
                if self._done - bytes_then < self._policy.drip_bytes:
                    raise unreachable(f"{self._host} sends too slowly")
                window, bytes_then = now, self._done
        if not self._known:
            self._sniff()
        await self._write()
        return Whole(self._done, self._digest.hexdigest(), "")

    async def _write(self) -> None:
        block, self._block = self._block, bytearray()

        def work() -> None:
            self._digest.update(block)
            self._out.write(block)

        await asyncio.to_thread(work)

    def _sniff(self) -> None:
        head = bytes(self._block[:HEAD])
        self._known = True
        if media_kind(head) is not None:
            return
        kind = looks_like_text(head) or ("empty" if not head else "no audio, video or picture file")
        raise fault(
            ErrorCode.INPUT_UNREADABLE,
            f"what {self._host} sends is {kind}; give the direct link to the media file",
        )


def check_size(host: str, size: int, limit: int) -> None:
    """Refuse a file above the limit, before or while it comes."""
    if size > limit:
        raise fault(
            ErrorCode.INPUT_TOO_LARGE,
            f"the file of {host} has {size} bytes or more; the limit is {limit}",
            size=size,
            limit=limit,
        )


def fault(code: ErrorCode, message: str, **detail: Any) -> Fault:
    """A fault of the fetch."""
    return Fault.of(code, Stage.FETCH, message, **detail)


def unreachable(message: str) -> Fault:
    """A fault that may pass."""
    return fault(ErrorCode.INPUT_UNREACHABLE, message)
