"""Headers of the copies that this service makes of a record: for another try, or for the dead.

A copy keeps the record's key, value and headers, and says beside them why it exists and where it
came from. The place of the first record survives any number of copies.
"""

from __future__ import annotations

from datetime import UTC, datetime

from consumer.jobs import Record
from consumer.kafka import delivery
from schemas.render import ErrorFacts

Headers = list[tuple[str, bytes]]

MAX_HEADER_CHARS = 1000
_OURS = (delivery.ERROR, delivery.DUE, delivery.ATTEMPT, delivery.TRUNCATED)


def retry_headers(
    record: Record, job_id: str, error: ErrorFacts, attempt: int, due: datetime, now: datetime
) -> Headers:
    """Headers of a record on the retry topic."""
    headers = _base(record, job_id, error, attempt, now)
    headers.append((delivery.DUE, str(round(due.timestamp() * 1000)).encode()))
    return headers


def dead_headers(
    record: Record, job_id: str, error: ErrorFacts, attempt: int, now: datetime
) -> Headers:
    """Headers of a record on the dead-letter topic."""
    return _base(record, job_id, error, attempt, now)


def _base(record: Record, job_id: str, error: ErrorFacts, attempt: int, now: datetime) -> Headers:
    first = record.header(delivery.FIRST_FAILED_AT) or _instant(now)
    kept = [(n, v) for n, v in record.headers if not n.startswith(_OURS) and n != delivery.JOB_ID]
    names = {name for name, _ in kept}
    place = {
        delivery.ORIGINAL + "topic": record.topic,
        delivery.ORIGINAL + "partition": str(record.partition),
        delivery.ORIGINAL + "offset": str(record.offset),
        delivery.ORIGINAL + "timestamp": str(record.timestamp_ms),
    }
    facts = {
        delivery.JOB_ID: job_id,
        delivery.ATTEMPT: str(attempt),
        delivery.ERROR + "code": error.code.value,
        delivery.ERROR + "message": error.message[:MAX_HEADER_CHARS],
        delivery.ERROR + "retryable": str(error.retryable).lower(),
        delivery.ERROR + "attempt": str(attempt),
        delivery.FIRST_FAILED_AT: first,
    }
    facts |= {name: text for name, text in place.items() if name not in names}
    return kept + [(name, text.encode("utf-8", "replace")) for name, text in facts.items()]


def _instant(now: datetime) -> str:
    return now.astimezone(UTC).isoformat().replace("+00:00", "Z")
