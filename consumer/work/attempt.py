"""One attempt at a render: fetch → slot → attempt marker → render → put MP4.

A kept avatar of the reference is fetched with the inputs (`consumer.work.avatars`).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import structlog
from pydantic import ValidationError

from consumer import telemetry
from consumer.faults import Fault
from consumer.metrics import FRAMES, STAGE_SECONDS
from consumer.remote.download import Whole
from consumer.scratch import Scratch
from consumer.settings import Settings
from consumer.store import records
from consumer.store.facts import NOTHING
from consumer.store.held_lease import Held
from consumer.store.patience import patient, waited_out
from consumer.store.storage import Storage, file_sha256
from consumer.work.avatars import Avatars
from consumer.work.case import Case
from consumer.work.inputs import Inputs, fetch_inputs
from consumer.work.marks import render_marks
from consumer.work.progress import ProgressTeller
from consumer.work.shelf import Shelf
from consumer.workers.protocol import Render, RenderLimits
from consumer.workers.slots import Fleet
from consumer.workers.worker import Worker
from schemas.codes import ErrorCode, Stage
from schemas.events import Completed, Progress
from schemas.render import RenderReport

log = structlog.get_logger(__name__)


class Attempts:
    """Makes attempts."""

    def __init__(
        self,
        settings: Settings,
        storage: Storage,
        fleet: Fleet,
        scratch: Scratch,
        avatars: Avatars,
        tell: Callable[[Progress], None],
    ) -> None:
        self._settings = settings
        self._storage = storage
        self._fleet = fleet
        self._scratch = scratch
        self._avatars = avatars
        self._tell = tell
        self._shelf = Shelf(storage, settings.s3_bucket)

    async def run(self, case: Case, held: Held) -> Completed:
        """Render and upload.

        Raises:
            Fault: the attempt failed.
            LeaseLost: another replica works on it.
        """
        loop = asyncio.get_running_loop()
        async with self._scratch.job(case.render_id) as folder:
            if (kept := await self._take_kept(case, held, folder)) is not None:
                return kept
            begun = loop.time()
            with telemetry.span("fetch"):
                inputs = await fetch_inputs(self._storage, self._settings, case.job.request, folder)
                sha256 = inputs.facts["video"].sha256
                case.drawer = await self._avatars.fetch(sha256, case.engine.avatars)
            STAGE_SECONDS.labels("fetch").observe(loop.time() - begun)
            output = folder / "output.mp4"
            with telemetry.span("render", engine=case.engine.name) as span:
                report = await self._render(case, held, inputs, folder, output)
                span.set(frames=report.media.frames, device=report.engine.device)
            self._avatars.settle(case.drawer, report.avatar)
            begun = loop.time()
            with telemetry.span("store"):
                done = await self._upload(case, held, inputs, report, output)
            STAGE_SECONDS.labels("store").observe(loop.time() - begun)
        return done

    def keep_avatar(self, case: Case) -> None:
        """Put what an attempt made of its reference into the bucket, some time soon."""
        if case.drawer is not None:
            self._avatars.keep(case.drawer)

    async def adopt(self, case: Case, held: Held) -> Completed | None:
        """The result of an attempt that uploaded its MP4 and then died before its manifest."""
        if held.before is None or held.before.attempt == 0 or case.fault is not None:
            return None
        draft = await self._draft(case)
        if draft is None:
            return None
        stat = partial(self._storage.stat, case.keys.bucket, case.keys.mp4)
        codes = waited_out(case.keys.bucket, self._settings.s3_bucket)
        there = await patient(stat, "look for the MP4", codes)
        if there is None or (there.size, there.sha256) != (draft.output.size, draft.output.sha256):
            return None
        log.info("finished render of a dead replica adopted", attempt=draft.attempt)
        return _at(draft, there.etag)

    async def _draft(self, case: Case) -> Completed | None:
        """The event of an MP4 that an earlier attempt made, as it was before it was up."""
        get = partial(self._storage.get, self._settings.s3_bucket, case.keys.draft)
        found = await patient(get, "look for a draft")
        try:
            return Completed.model_validate_json(found[0]) if found is not None else None
        except ValidationError:
            return None

    async def _take_kept(self, case: Case, held: Held, folder: Path) -> Completed | None:
        """Put the MP4 of an earlier attempt where there was no room for it."""
        if held.before is None or held.before.last_error != ErrorCode.STORE_FULL:
            return None
        draft, path = await self._draft(case), folder / "output.mp4"
        if draft is None or draft.render_id != case.render_id:
            return None
        if not await self._shelf.take(case.keys, draft.output, path):
            return None
        log.info("the MP4 of an earlier attempt is put, nothing rendered", attempt=draft.attempt)
        stored = await self._put_mp4(case, held, path, draft.output.sha256)
        await self._shelf.clear(case.keys)
        return _at(draft, stored.etag)

    async def _render(
        self, case: Case, held: Held, inputs: Inputs, folder: Path, output: Path
    ) -> RenderReport:
        async with self._fleet.slot(alone=held.crashed_before) as worker:
            attempt = await patient(held.start_attempt, "mark the attempt")
            log.info("render starts", attempt=attempt, worker=worker.device.label)
            order = self._order(case, inputs, folder, output, worker)
            teller = ProgressTeller(case.job.job_id, case.render_id, attempt, self._tell)
            started_ns = time.time_ns()
            report = await worker.render(order, teller)
            telemetry.stages(report.timings_ms, started_ns)
        for stage, milliseconds in report.timings_ms.items():
            if stage != "total":
                STAGE_SECONDS.labels(stage).observe(milliseconds / 1000)
        FRAMES.labels(report.engine.name).inc(report.media.frames)
        return report

    def _order(
        self, case: Case, inputs: Inputs, folder: Path, output: Path, worker: Worker
    ) -> Render:
        settings, request = self._settings, case.job.request
        budget = settings.job_timeout_s
        if request.deadline is not None:
            left = (request.deadline - datetime.now(UTC)).total_seconds()
            budget = max(0.0, min(budget, left))
        return Render(
            run=worker.next_run(),
            job_id=case.job.job_id,
            audio=str(inputs.audio.resolve()),
            video=str(inputs.video.resolve()),
            output=str(output.resolve()),
            scratch=str(folder.resolve()),
            engine=case.engine.name,
            options=request.options,
            limits=RenderLimits(
                max_pixels=settings.max_pixels,
                max_video_s=settings.max_video_s,
                max_audio_s=settings.max_audio_s,
                max_bytes=settings.max_input_bytes,
            ),
            threads=max(1, self._fleet.processors // self._fleet.slots_of(worker)),
            budget_s=budget,
            marks=render_marks(settings, request.consent),
            avatars=self._avatars.order if case.engine.avatars else None,
            video_sha256=inputs.facts["video"].sha256,
        )

    async def _upload(
        self, case: Case, held: Held, inputs: Inputs, report: RenderReport, output: Path
    ) -> Completed:
        """Put the MP4, and beside it the event that a successor would need."""
        try:
            size = output.stat().st_size
            sha256 = await asyncio.to_thread(file_sha256, output)
        except OSError as error:
            raise Fault.of(
                ErrorCode.OUTPUT_INVALID, Stage.VERIFY, f"the output is not there: {error.strerror}"
            ) from error
        await patient(held.confirm, "confirm the lease")
        keys, stored = case.keys, Whole(size, sha256, "")
        draft = records.completed(
            case.job,
            case.render_id,
            keys,
            stored,
            report,
            inputs=inputs.facts,
            attempt=held.attempt,
        )
        put_draft = partial(
            self._storage.put,
            self._settings.s3_bucket,
            keys.draft,
            draft.model_dump_json().encode(),
        )
        drafted = asyncio.ensure_future(patient(put_draft, "put the draft"))
        try:
            stored, _ = await asyncio.gather(self._put_mp4(case, held, output, sha256), drafted)
        except Fault as fault:
            if fault.code is ErrorCode.STORE_FULL:
                await drafted
                await self._shelf.keep(keys, output, sha256)
            raise
        return _at(draft, stored.etag)

    async def _put_mp4(self, case: Case, held: Held, path: Path, sha256: str) -> Whole:
        """Put the MP4 where none is, or over exactly the one that a dead attempt left there.

        So an upload of a replica that lost its lease without knowing can replace nothing.
        """
        keys, over = case.keys, NOTHING
        codes = waited_out(keys.bucket, self._settings.s3_bucket)
        while True:
            put = partial(
                self._storage.put_file,
                keys.bucket,
                keys.mp4,
                path,
                "video/mp4",
                sha256=sha256,
                over=over,
            )
            stored = await patient(put, "put the MP4", codes)
            if stored is not None:
                return stored
            stat = partial(self._storage.stat, keys.bucket, keys.mp4)
            there = await patient(stat, "look at the MP4", codes)
            if there is not None and there.sha256 == sha256:
                return Whole(there.size, sha256, there.etag)
            await patient(held.confirm, "confirm the lease")
            over = there.etag if there is not None else NOTHING


def _at(draft: Completed, etag: str) -> Completed:
    """The event of an MP4 that is up."""
    output = draft.output.model_copy(update={"etag": etag})
    return draft.model_copy(update={"output": output})
