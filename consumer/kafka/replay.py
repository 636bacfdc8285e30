"""Sends requests of the past once more: what `face2face replay` does.

A replayed record is a new event that says which one it repeats (`f2f-replay-of`) and keeps the job
it had, also where that job's id came from the record's place. A finished job is announced again,
with the same event id, and renders nothing; with `rerender` it gets a new generation, which is part
of the render id. Setting the group's offsets back means the same as a replay without `rerender`.

Which outcome a job has is read from the store. A render is found again only while the engine's
revision is the same: after an upgrade that changes pixels, "announce" may turn out a render.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Literal

from consumer.jobs import Job, Record
from consumer.kafka import delivery
from consumer.kafka.admission import Rejection, admit
from consumer.kafka.publisher import Publisher
from consumer.kafka.selection import Selection, records
from consumer.settings import Settings
from consumer.store.outcomes import OutcomesHidden
from schemas.envelope import Envelope, EventType
from schemas.ids import render_id
from schemas.manifest import Manifest
from schemas.request import RenderRequest

SOURCE = "face2face/replay"
WINDOW = 16
"""Records whose outcomes are looked up at a time."""

Action = Literal["announce", "render", "render again", "skip"]
Outcome = Literal["completed", "failed", "none", "unknown"]


@dataclass(frozen=True, slots=True)
class Row:
    """What happens to one record."""

    topic: str
    partition: int
    offset: int
    sent_at: datetime
    job_id: str
    outcome: Outcome
    action: Action
    reason: str = ""
    generation: int = 0
    event_id: str | None = None
    """Of the request that was sent; None in a dry run or when skipped."""


FindOutcomes = Callable[[Job], Awaitable[list[Manifest]]]
"""All recorded outcomes of a job's request, of any generation."""


async def replay(
    settings: Settings,
    selection: Selection,
    find: FindOutcomes,
    publisher: Publisher | None,
) -> AsyncIterator[Row]:
    """Go through the selected records and send them once more.

    Args:
        find: looks outcomes up, `consumer.store.outcomes.StoredOutcomes` in the service.
        publisher: a started one; None for a dry run, which only says what would happen.

    Raises:
        ReplayError: the selection cannot work, or the topic or partition does not exist.
        ClientFailed: no broker can be used.
        KafkaError: the brokers refuse something.
        Fault: the store does not answer.
    """
    selection.check()
    seen: dict[tuple[str, str], str] = {}
    async for batch in _windows(records(settings, selection)):
        plans = await asyncio.gather(*(_plan(record, selection, find) for record in batch))
        for record, (row, job) in zip(batch, plans, strict=True):
            if selection.job_id is not None and row.job_id != selection.job_id:
                continue
            done = row
            if job is not None and row.action != "skip":
                done = _once(row, job, seen)
                if publisher is not None and done.action != "skip":
                    done = await _send(publisher, record, done)
            yield done


def _once(row: Row, job: Job, seen: dict[tuple[str, str], str]) -> Row:
    """The row, or a skip when the same request of the same job came before it."""
    what = (row.job_id, _picture(job.request))
    place = f"{row.topic}/{row.partition}/{row.offset}"
    first = seen.setdefault(what, place)
    if first == place:
        return row
    return replace(row, action="skip", reason=f"the same request as {first}")


async def _plan(record: Record, selection: Selection, find: FindOutcomes) -> tuple[Row, Job | None]:
    found = admit(record)
    row = Row(
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        sent_at=record.sent_at,
        job_id=found.job_id,
        outcome="unknown",
        action="skip",
    )
    if isinstance(found, Rejection):
        return replace(row, reason=f"can never become a job: {found.error.message[:200]}"), None
    if record.header(delivery.TRUNCATED) is not None:
        return replace(row, reason="its value was cut short for the dead-letter topic"), None
    if selection.job_id is not None and found.job_id != selection.job_id:
        return row, None  # nobody asks about it
    try:
        manifests = await find(found)
    except OutcomesHidden as error:
        return replace(row, reason=str(error)), None
    same = [m for m in manifests if _picture(m.request) == _picture(found.request)]
    last = max(same, key=lambda m: (m.generation, m.created_at), default=None)
    row = replace(row, outcome=last.outcome if last else "none")
    if selection.only_failed and row.outcome != "failed":
        return replace(row, reason=f"not failed: {row.outcome}"), found
    highest = max((m.generation for m in manifests), default=found.generation)
    if last is None:
        return replace(row, action="render", generation=found.generation), found
    if selection.rerender:
        return replace(row, action="render again", generation=highest + 1), found
    return replace(row, action="announce", generation=last.generation), found


def _picture(request: RenderRequest) -> str:
    """Digest of all in a request that decides the picture: what render ids are made of."""
    return render_id(request, request.engine or "", "")


async def _send(publisher: Publisher, record: Record, row: Row) -> Row:
    event = str(uuid.uuid4())
    await publisher.request(
        record.value or b"", record.key or row.job_id.encode(), _headers(record, row, event)
    )
    return replace(row, event_id=event)


def _headers(record: Record, row: Row, event: str) -> list[tuple[str, bytes]]:
    envelope = Envelope(event, SOURCE, EventType.REQUEST, datetime.now(UTC), subject=row.job_id)
    fresh = envelope.headers()
    place = f"{record.topic}/{record.partition}/{record.offset}"
    fresh[delivery.REPLAY_OF] = record.header("ce_id") or place
    fresh[delivery.JOB_ID] = row.job_id
    if row.generation:
        fresh[delivery.GENERATION] = str(row.generation)
    trace = record.header("traceparent")
    if trace is not None:
        fresh[delivery.REPLAY_TRACE] = trace
    kept = [
        (name, value)
        for name, value in record.headers
        if name not in fresh and name != "traceparent" and not name.startswith("f2f-")
    ]
    return kept + [(name, text.encode("utf-8", "replace")) for name, text in fresh.items()]


async def _windows(records: AsyncIterator[Record]) -> AsyncIterator[list[Record]]:
    batch: list[Record] = []
    async for record in records:
        batch.append(record)
        if len(batch) == WINDOW:
            yield batch
            batch = []
    if batch:
        yield batch
