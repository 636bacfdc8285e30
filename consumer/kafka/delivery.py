"""Records off the wire, and the `f2f-*` headers of requests, retries, replays and dead letters.

Spring Kafka's and Kafka Connect's dead letters speak of the same things; ours are documented in
deploy/asyncapi.yaml.
"""

from __future__ import annotations

from typing import Final, TypeAlias

from aiokafka import ConsumerRecord

from consumer.jobs import Record

RawRecord: TypeAlias = ConsumerRecord
"""A record as aiokafka hands it over, key and value as bytes."""

JOB_ID: Final = "f2f-job-id"
"""The job of a copy: a retry or replay of a record that names no job keeps the first one's id."""
GENERATION: Final = "f2f-generation"
"""How often a re-render was asked for."""
REPLAY_OF: Final = "f2f-replay-of"
"""Event id of the request that is sent once more."""
REPLAY_TRACE: Final = "f2f-replay-traceparent"
"""The trace of the first request: linked to, not continued."""
DUE: Final = "f2f-due"
"""Not before this instant: milliseconds since the epoch."""
ATTEMPT: Final = "f2f-attempt"
"""Attempts that were started so far."""
TRUNCATED: Final = "f2f-truncated"
"""Bytes that the value had, where the topic takes no record that large."""
UNREAD: Final = "f2f-unread"
"""Why nothing but the place of a record is known: its batch cannot be decompressed."""
ERROR: Final = "f2f-error-"
ORIGINAL: Final = "f2f-original-"
FIRST_FAILED_AT: Final = ERROR + "first-failed-at"


def number(record: Record, name: str) -> int | None:
    """A header as a whole number of at most 18 digits; None when absent or not one."""
    text = record.header(name)
    if text is None or not text.isascii() or not text.isdecimal() or len(text) > 18:
        return None
    return int(text)


def sent_ms(record: Record, retry_topic: str) -> int:
    """When upstream sent the request: of a retry, that of the record it copies."""
    if record.topic != retry_topic:
        return record.timestamp_ms
    original = number(record, ORIGINAL + "timestamp")
    return record.timestamp_ms if original is None else original


def to_record(raw: RawRecord) -> Record:
    """A record in our own words."""
    return Record(
        topic=raw.topic,
        partition=raw.partition,
        offset=raw.offset,
        key=raw.key,
        value=raw.value,
        headers=tuple((name, value or b"") for name, value in raw.headers),
        timestamp_ms=raw.timestamp,
    )
