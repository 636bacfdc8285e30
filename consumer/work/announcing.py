"""Announces recorded outcomes, the first time and again, with the same event id."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from functools import partial

import structlog
from pydantic import ValidationError

from consumer import telemetry
from consumer.jobs import Announcer, Record, Verdict
from consumer.metrics import REUSED
from consumer.settings import Settings
from consumer.store.patience import patient
from consumer.store.storage import Storage
from consumer.work.case import Case
from schemas.events import Completed, Failed
from schemas.ids import event_id
from schemas.manifest import AttemptMarker, Manifest
from schemas.render import ErrorFacts

log = structlog.get_logger(__name__)


class Announcing:
    """Words to the world, from manifests alone."""

    def __init__(self, settings: Settings, storage: Storage, announcer: Announcer) -> None:
        self._settings = settings
        self._storage = storage
        self._announcer = announcer

    async def announce(self, case: Case, manifest: Manifest, *, reused: bool) -> Verdict:
        """Produce the event of a manifest.

        Args:
            reused: it was found, not made; else nobody can have announced it before.
        """
        if reused:
            REUSED.inc()
        if manifest.completed is not None:
            return await self._completed(case, manifest, manifest.completed, reused)
        assert manifest.failed is not None, "a manifest has one outcome"
        return await self._failed(case, manifest, manifest.failed, reused)

    async def _completed(
        self, case: Case, manifest: Manifest, event: Completed, reused: bool
    ) -> Verdict:
        life, output = self._settings.presign_s, event.output
        sign = partial(self._storage.presign_get, output.bucket, output.key, life)
        url, expires = await patient(sign, "sign the download URL")
        copy = event.model_copy(
            update={"download_url": url, "download_url_expires_at": expires, "reused": reused}
        )
        with telemetry.span("announce", "producer", event="completed"):
            await self._announcer.completed(copy, manifest.event_id, case.job.traceparent)
        return Verdict("completed", reused=reused, attempt=event.attempt)

    async def _failed(self, case: Case, manifest: Manifest, event: Failed, reused: bool) -> Verdict:
        error = event.error
        if error.retryable and (not reused or await self._unfinished(case)):
            await self._announcer.dead_letter(
                case.job.record, case.job.job_id, error, event.attempt
            )
        copy = event.model_copy(update={"reused": reused})
        with telemetry.span("announce", "producer", event="failed"):
            await self._announcer.failed(copy, manifest.event_id, case.job.traceparent)
        log.warning("job failed", code=error.code.value, error=error.message, reused=reused)
        return Verdict("failed", error.code, reused, event.attempt)

    async def _unfinished(self, case: Case) -> bool:
        """True when whoever wrote the failed manifest died before it gave its lease back.

        Then the dead letter may be missing; one too many is better than none.
        """
        own = self._settings.s3_bucket
        read = partial(self._storage.get, own, case.keys.marker)
        found = await patient(read, "look at the marker")
        if found is None:
            return False
        try:
            return AttemptMarker.model_validate_json(found[0]).lease is not None
        except ValidationError:
            return False

    async def retry(self, case: Case, error: ErrorFacts, attempt: int, due: datetime) -> Verdict:
        """Put the record on the retry topic."""
        await self._announcer.retry(case.job.record, case.job.job_id, error, attempt, due)
        log.warning("job put off", error=error.message, attempt=attempt, due=due.isoformat())
        return Verdict("retried", error.code, attempt=attempt)

    async def reject(self, record: Record, job_id: str, error: ErrorFacts) -> Verdict:
        """Dead letter and failed event of a record that never was a job."""
        failed = Failed(
            job_id=job_id,
            error=error,
            attempt=0,
            max_attempts=self._settings.max_attempts,
            failed_at=datetime.now(UTC),
        )
        # Together, as either alone is sent again: the offset is finished only after both.
        await asyncio.gather(
            self._announcer.dead_letter(record, job_id, error, 0),
            self._announcer.failed(
                failed, event_id(job_id, "rejected", "failed"), record.header("traceparent")
            ),
        )
        log.warning("record refused", error=error.message)
        return Verdict("rejected", error.code)
