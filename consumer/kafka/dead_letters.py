"""Raw records on their way to the dead-letter topic: by the line that suits their size, or cut.

Large ones leave through lines of their own (`consumer.kafka.bulk`), so that they hold up no loop;
those that repeat themselves are packed. Where the topic takes no more, the value is cut short, and
the letter says so.
"""

from __future__ import annotations

import contextlib
import sys
import zlib
from datetime import UTC, datetime

import structlog
from aiokafka.errors import MessageSizeTooLargeError

from consumer import metrics
from consumer.jobs import Record
from consumer.kafka import copy_headers, delivery
from consumer.kafka.bulk import BulkLine
from consumer.kafka.producing import Line
from consumer.settings import Settings
from schemas.render import ErrorFacts

SHORTER_VALUES = (900_000, 100_000, 0)
"""Bytes of a dead letter's value that are tried in turn where the topic takes no more."""
LARGE_BYTES = 1024 * 1024
"""Above it a value stops the event loop for too long on its way out (`consumer.kafka.bulk`)."""
SAMPLE_BYTES = 8 * 1024
REPEATS = 0.05
"""Of its size, what is left of such a value."""

log = structlog.get_logger("publisher")


class DeadLetters:
    """Sends them.

    Args:
        line: takes the small ones, which are nearly all.
    """

    def __init__(self, settings: Settings, line: Line) -> None:
        self._topic = settings.topics.dlq
        self._line = line
        self._bulk = BulkLine(settings)
        """For large ones; the first one must not wait for a connection."""
        self._packed = BulkLine(settings, "zstd")
        """For those that shrink to little at once, and those that no topic takes otherwise."""
        self.large_lines = (self._bulk, self._packed)
        self._refused_bytes = sys.maxsize
        """The smallest value that was too large for its topic without being packed."""

    async def send(self, record: Record, job_id: str, error: ErrorFacts, attempt: int) -> None:
        """Produce the raw record; cut short where the topic takes no more."""
        headers = copy_headers.dead_headers(record, job_id, error, attempt, datetime.now(UTC))
        key = record.key or job_id.encode()
        try:
            await self._bury(record.value, key, headers)
        except MessageSizeTooLargeError:
            await self._send_shorter(record.value or b"", key, headers)
        metrics.DEAD_LETTERS.labels(error.code.value).inc()

    async def _bury(self, value: bytes | None, key: bytes, headers: copy_headers.Headers) -> None:
        topic = self._topic
        if value is None or len(value) <= LARGE_BYTES:
            await self._line.send(topic, value, key, headers)
        elif _repeats(value) or len(value) >= self._refused_bytes:
            await self._packed.send(topic, value, key, headers)
        else:
            try:
                await self._bulk.send(topic, value, key, headers)
            except MessageSizeTooLargeError:
                self._refused_bytes = len(value)
                await self._packed.send(topic, value, key, headers)

    async def _send_shorter(self, value: bytes, key: bytes, headers: copy_headers.Headers) -> None:
        marked = [*headers, (delivery.TRUNCATED, str(len(value)).encode())]
        for limit in SHORTER_VALUES:
            with contextlib.suppress(MessageSizeTooLargeError):
                return await self._line.send(self._topic, value[:limit], key, marked)
        log.error("the dead-letter topic takes not even headers", topic=self._topic)
        return None


def _repeats(value: bytes) -> bool:
    """True for a value whose middle says little: it is packed faster than it is sent."""
    sample = memoryview(value)[len(value) // 2 :][:SAMPLE_BYTES]
    return len(zlib.compress(sample, 1)) < REPEATS * len(sample)
