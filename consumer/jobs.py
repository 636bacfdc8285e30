"""The seam between Kafka and the work: what one side hands to the other, and who owns what.

    subscriber ── Record ──> admission ── Job ──> JobProcessor (consumer.work.outcome)
         ^                                            │ storage, worker, then
         └── offset counts as finished <── Verdict ── Announcer (consumer.kafka.publisher)

The subscriber owns offsets and nothing else. The processor owns the order of side effects: attempt
marker → render → put MP4 → put manifest → produce the event → return. Only when it has returned
does the record's offset count as finished. Every way out that is not a return leaves the offset
open, so that the record comes again, here or elsewhere.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal, Protocol

from schemas.codes import ErrorCode
from schemas.events import Completed, Failed, Progress
from schemas.render import ErrorFacts
from schemas.request import RenderRequest

LATEST_MS = 253_402_300_799_000
"""The last second of the year 9999, after which a `datetime` cannot be."""


@dataclass(frozen=True, slots=True)
class Record:
    """One Kafka record as it came, before anything was believed about it."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]
    timestamp_ms: int
    """Milliseconds since the epoch, by the producer or the broker."""

    def header(self, name: str) -> str | None:
        """The last header of that name as text; None when there is none."""
        for key, value in reversed(self.headers):
            if key == name:
                return value.decode("utf-8", "replace")
        return None

    @property
    def sent_at(self) -> datetime:
        """When it was produced, aware; a producer may write any number, so it is bounded."""
        return datetime.fromtimestamp(min(max(0, self.timestamp_ms), LATEST_MS) / 1000, UTC)

    def __repr__(self) -> str:
        """Place and size: the value may hold what must not be logged."""
        size = -1 if self.value is None else len(self.value)
        return f"Record({self.topic}/{self.partition}/{self.offset}, {size} bytes)"


@dataclass(slots=True)
class Job:
    """One admitted request."""

    record: Record
    job_id: str
    request: RenderRequest
    generation: int = 0
    """How often a re-render was asked for (header `f2f-generation`); part of the render id."""
    traceparent: str | None = None
    """W3C Trace Context of upstream, passed on to every event."""
    cancelled: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when upstream asked to stop; the processor makes it `failed` with CANCELLED."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a record ended; by then everything about it is announced and acknowledged."""

    kind: Literal["completed", "failed", "retried", "rejected"]
    """`retried`: a copy with a due time is on the retry topic. `rejected`: never was a job."""
    code: ErrorCode | None = None
    reused: bool = False
    """The outcome was found in the store and only announced again."""
    attempt: int = 0


class JobProcessor(Protocol):
    """Does the work of a job, with all its side effects in order. Many calls run at a time."""

    async def process(self, job: Job) -> Verdict:
        """See one job to its end.

        Outages of the store or the brokers are waited out inside, with back-off. Being cancelled
        (asyncio) means that this replica leaves: stop rendering, release the lease, announce
        nothing, and let the cancellation through.
        """
        ...

    async def reject(self, record: Record, job_id: str, error: ErrorFacts) -> Verdict:
        """Record and announce that a record can never become a job: `failed` and dead letter."""
        ...


class Announcer(Protocol):
    """Tells the world through Kafka. Each coroutine returns when all brokers acknowledged."""

    async def completed(self, event: Completed, event_id: str, traceparent: str | None) -> None:
        """Produce to `completed`."""
        ...

    async def failed(self, event: Failed, event_id: str, traceparent: str | None) -> None:
        """Produce to `failed`."""
        ...

    async def retry(
        self, record: Record, job_id: str, error: ErrorFacts, attempt: int, due: datetime
    ) -> None:
        """Produce the raw record to the retry topic, not to be tried before `due`."""
        ...

    async def dead_letter(
        self, record: Record, job_id: str, error: ErrorFacts, attempt: int
    ) -> None:
        """Produce the raw record to the dead-letter topic, with the reason in its headers."""
        ...

    def progress(self, event: Progress) -> None:
        """Produce a sign of life some time soon; never waits, may be dropped."""
        ...
