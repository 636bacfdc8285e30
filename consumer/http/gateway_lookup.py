"""What is known about a job: from events heard here, else from the store, so any replica answers.

manifest   results/<job_id>/<render_id>.json      the outcome
marker     attempts/<job_id>/<wish id>.json       somebody works or worked on it
note       inputs/jobs/<job_id>.json              this gateway, or another, accepted it
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

from pydantic import ValidationError

from consumer.faults import Fault
from consumer.http.gateway_hub import Heard, Hub, Said
from consumer.http.gateway_metrics import WATCHED
from consumer.http.gateway_requests import note_key
from consumer.settings import Settings
from consumer.store.records import folder_of
from consumer.store.storage import Storage
from schemas.codes import ErrorCode
from schemas.events import Completed, Failed, Progress
from schemas.http import AcceptedRecord, JobState, JobView, job_links
from schemas.manifest import Manifest

LOOK_S = 5.0
"""How often somebody who waits also asks the store: events may have been missed."""


class Book:
    """Looks jobs up."""

    def __init__(self, settings: Settings, storage: Storage, hub: Hub) -> None:
        self._settings = settings
        self._storage = storage
        self._hub = hub

    async def find(self, job_id: str) -> JobView | None:
        """The job, or None when nobody knows of it."""
        heard = self._hub.last(job_id)
        note = await self._note(job_id)
        accepted = note.accepted_at if note is not None else None
        if heard is not None and heard.final:
            return self._view(job_id, await self.fresh(heard.said), accepted)
        outcome = await self._outcome(job_id, note)
        if outcome is not None:
            return self._view(job_id, await self.fresh(outcome), accepted)
        if heard is not None:
            return self._view(job_id, heard.said, accepted)
        running = await self._storage.list_objects(
            self._settings.s3_bucket, f"attempts/{folder_of(job_id)}/"
        )
        if note is None and not running:
            return None
        state = JobState.RUNNING if running else JobState.QUEUED
        return JobView(job_id=job_id, state=state, accepted_at=accepted, links=job_links(job_id))

    async def follow(self, job_id: str) -> AsyncIterator[Heard | None]:
        """Everything about a job from now on, its outcome last; None every few seconds between.

        Also ends with an outcome that was never heard, because the store is asked as well.
        """
        with self._hub.watch(job_id) as queue:
            WATCHED.set(self._hub.watchers)
            try:
                known = self._hub.last(job_id)
                if known is not None:
                    yield await self._freshly(known)
                    if known.final:
                        return
                while True:
                    heard: Heard | None = None
                    with contextlib.suppress(TimeoutError):
                        heard = await asyncio.wait_for(queue.get(), LOOK_S)
                    if heard is None:
                        outcome = await self._outcome(job_id, await self._note(job_id))
                        heard = Heard(outcome, "") if outcome is not None else None
                    yield await self._freshly(heard) if heard is not None else None
                    if heard is not None and heard.final:
                        return
            finally:
                WATCHED.set(max(0, self._hub.watchers - 1))

    async def _freshly(self, heard: Heard) -> Heard:
        return Heard(await self.fresh(heard.said), heard.event_id)

    async def fresh(self, said: Said) -> Said:
        """The same, with a download URL that lives from now on."""
        if not isinstance(said, Completed):
            return said
        life = self._settings.presign_s
        url, end = await self._storage.presign_get(said.output.bucket, said.output.key, life)
        return said.model_copy(update={"download_url": url, "download_url_expires_at": end})

    async def head_url(self, completed: Completed) -> str:
        """A URL of the MP4 that answers HEAD: that of the event is signed for GET alone."""
        output, life = completed.output, self._settings.presign_s
        return (await self._storage.presign_get(output.bucket, output.key, life, method="HEAD"))[0]

    async def _note(self, job_id: str) -> AcceptedRecord | None:
        found = await self._storage.get(self._settings.s3_bucket, note_key(job_id))
        if found is None:
            return None
        try:
            return AcceptedRecord.model_validate_json(found[0])
        except ValidationError:
            return None

    async def _outcome(self, job_id: str, note: AcceptedRecord | None) -> Completed | Failed | None:
        """The newest recorded outcome: where the request wanted it, else in the own bucket.

        A failure stands there where the request's bucket or prefix cannot be used.
        """
        own = self._settings.s3_bucket
        places = [(own, "")]
        if note is not None:
            output = note.request.output
            places = [(output.bucket or own, output.prefix), (own, output.prefix), *places]
        for bucket, prefix in dict.fromkeys(places):
            try:
                manifest = await self._newest(bucket, f"{prefix}results/{folder_of(job_id)}/")
            except Fault as fault:
                if (bucket, prefix) == (own, "") or fault.code is ErrorCode.STORE_UNAVAILABLE:
                    raise
                continue
            if manifest is not None:
                return manifest.completed or manifest.failed
        return None

    async def _newest(self, bucket: str, prefix: str) -> Manifest | None:
        """By the store's clock, which is one: those of replicas may differ by minutes."""
        dated: list[tuple[datetime, datetime, Manifest]] = []
        for key, facts in await self._storage.list_objects(bucket, prefix):
            found = await self._storage.get(bucket, key) if key.endswith(".json") else None
            with contextlib.suppress(ValidationError):
                manifest = Manifest.model_validate_json(found[0]) if found else None
                if manifest:
                    written = facts.modified or manifest.created_at
                    dated.append((written, manifest.created_at, manifest))
        return max(dated, key=lambda each: each[:2])[2] if dated else None

    def _view(self, job_id: str, said: Said, accepted: datetime | None) -> JobView:
        told: dict[str, Any]
        match said:
            case Progress():
                told = {"state": JobState.RUNNING, "progress": said}
            case Completed():
                told = {"state": JobState.COMPLETED, "completed": said}
            case Failed():
                told = {"state": JobState.FAILED, "failed": said}
        return JobView(job_id=job_id, accepted_at=accepted, links=job_links(job_id), **told)
