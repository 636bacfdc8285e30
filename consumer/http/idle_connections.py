"""Closes connections that ask for nothing: uvicorn alone waits for a call's head without end.

Such a connection needs no key. The gateway counts it among the calls that it takes at a time, so
that a thousand of them would have all others answered 503, probes of the platform included; in a
replica each would hold a descriptor.
"""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.h11_impl import H11Protocol

HEAD_S = 20.0
"""Longest wait for the head of a call, from the connection or the last answer on; seconds."""


class TimedProtocol(H11Protocol):
    """HTTP/1.1 as uvicorn speaks it, for clients that send the head of a call within `HEAD_S`."""

    _due: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for the first call."""
        super().connection_made(transport)
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop waiting."""
        if self._due is not None:
            self._due.cancel()
        super().connection_lost(exc)

    def on_response_complete(self) -> None:
        """Wait for the next call."""
        super().on_response_complete()
        self._wait()

    def _wait(self) -> None:
        if self._due is not None:
            self._due.cancel()
        self._due = self.loop.call_later(HEAD_S, self._end)

    def _end(self) -> None:
        asked = self.cycle is not None and not self.cycle.response_complete
        if not asked and not self.transport.is_closing():
            self.transport.close()
