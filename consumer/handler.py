"""What is done with one record: admission, cancellation, the work, and the figures about it."""

from __future__ import annotations

import time

import structlog
from structlog.contextvars import bound_contextvars

from consumer import metrics
from consumer.admission import Rejection, admit
from consumer.control import Cancellations
from consumer.delivery import sent_ms
from consumer.jobs import Job, JobProcessor, Record, Verdict

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
        with bound_contextvars(job_id=found.job_id, record=place):
            log.info("admitted" if isinstance(found, Job) else "refused")
            verdict = await self._settle(record, found)
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
