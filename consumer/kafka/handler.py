"""What is done with one record: admission, cancellation, the work, and the figures about it."""

from __future__ import annotations

import time
from contextlib import AbstractContextManager

import structlog
from structlog.contextvars import bound_contextvars

from consumer import metrics, telemetry
from consumer.jobs import Job, JobProcessor, Record, Verdict
from consumer.kafka import delivery
from consumer.kafka.admission import Rejection, admit
from consumer.kafka.control import Cancellations
from consumer.kafka.delivery import sent_ms

log = structlog.get_logger("jobs")


class Handler:
    """Callable with a record; returns its verdict when everything about it is announced."""

    def __init__(
        self, processor: JobProcessor, cancellations: Cancellations, retry_topic: str
    ) -> None:
        self._processor = processor
        self._cancellations = cancellations
        self._retry_topic = retry_topic

    async def __call__(self, record: Record) -> Verdict:
        """See one record to its end."""
        started = time.monotonic()
        found = admit(record)
        place = f"{record.topic}/{record.partition}/{record.offset}"
        with (
            bound_contextvars(job_id=found.job_id, record=place),
            _span(record, found.job_id, place) as span,
        ):
            if isinstance(found, Job):
                log.info("admitted")
                found.traceparent = span.traceparent or found.traceparent
            verdict = await self._settle(record, found)
            span.set(outcome=verdict.kind, attempt=verdict.attempt, reused=verdict.reused)
            if verdict.code is not None:
                span.fail(verdict.code.value)
            seconds = time.monotonic() - started
            metrics.JOB_SECONDS.labels(verdict.kind).observe(seconds)
            metrics.OUTCOMES.labels(verdict.kind, verdict.code.value if verdict.code else "").inc()
            log.info(
                "record done",
                outcome=verdict.kind,
                code=verdict.code,
                attempt=verdict.attempt,
                reused=verdict.reused,
                seconds=round(seconds, 3),
            )
        return verdict

    async def _settle(self, record: Record, found: Job | Rejection) -> Verdict:
        if isinstance(found, Rejection):
            return await self._processor.reject(record, found.job_id, found.error)
        with self._cancellations.watch(found, sent_ms(record, self._retry_topic)):
            return await self._processor.process(found)


def _span(record: Record, job_id: str, place: str) -> AbstractContextManager[telemetry.Span]:
    """The span of a record: it continues upstream's trace, or links to the one it replays."""
    upstream = record.header("traceparent")
    link = None
    if record.header(delivery.REPLAY_OF) is not None:
        upstream, link = None, record.header(delivery.REPLAY_TRACE)
    return telemetry.span(
        "process", "consumer", parent=upstream, link=link, job_id=job_id, record=place
    )
