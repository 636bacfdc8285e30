"""From an admitted job to its one outcome: the order of side effects, here and nowhere else.

    lease → fetch → attempt marker → render → put MP4 → put manifest → produce the event → return

The manifest is the commit point: it is written only where none is, and whoever finds one announces
what it says. Every crash window only repeats later steps. An outage of the store is waited out
where it strikes; it costs no attempt, and a finished MP4 stays in scratch until it is up.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TypeVar

import structlog
from structlog.contextvars import bound_contextvars

from consumer import records
from consumer.announcing import Announcing
from consumer.attempt import Attempt, Case
from consumer.avatars import Avatars
from consumer.faults import Fault
from consumer.held import Held, LeaseLost
from consumer.jobs import Announcer, Job, Record, Verdict
from consumer.lease import Leases, Watch
from consumer.metrics import LEASES_LOST, QUEUE_SECONDS
from consumer.patience import OUTAGE, patient
from consumer.places import elsewhere
from consumer.scratch import Scratch
from consumer.settings import Settings
from consumer.slots import Fleet
from consumer.storage import Storage
from schemas.codes import ErrorCode, Stage
from schemas.events import Completed, Failed
from schemas.ids import render_id, wish_id
from schemas.manifest import AttemptMarker, Manifest
from schemas.render import ErrorFacts

LEAVE_S = 1.5
"""What giving back a lease may take while this replica leaves."""
ABSENT = frozenset(
    {ErrorCode.UNKNOWN_ENGINE, ErrorCode.WEIGHTS_MISSING, ErrorCode.ENGINE_UNAVAILABLE}
)
"""Failures of a replica that lacked the engine: one that has it need not repeat them."""
T = TypeVar("T")
log = structlog.get_logger(__name__)


class Outcome:
    """Sees jobs to their outcome; implements `consumer.jobs.JobProcessor`."""

    def __init__(
        self,
        settings: Settings,
        storage: Storage,
        fleet: Fleet,
        scratch: Scratch,
        leases: Leases,
        avatars: Avatars,
        announcer: Announcer,
    ) -> None:
        self._settings = settings
        self._storage = storage
        self._fleet = fleet
        self._leases = leases
        self._announcing = Announcing(settings, storage, announcer)
        self._avatars = avatars
        self._attempt = Attempt(settings, storage, fleet, scratch, avatars, announcer.progress)
        self._conditions: bool | None = None

    async def process(self, job: Job) -> Verdict:
        """See one job to its end; see `JobProcessor.process`."""
        waited = datetime.now(UTC) - job.record.sent_at
        QUEUE_SECONDS.observe(max(0.0, waited.total_seconds()))
        with bound_contextvars(job_id=job.job_id):
            engine = await self._fleet.engine(job.request.engine or self._settings.engine)
            render = render_id(job.request, engine.name, engine.revision, job.generation)
            wish = wish_id(job.request, engine.name, job.generation)
            keys = records.Keys.of(job, render, self._settings.s3_bucket, wish)
            with bound_contextvars(render_id=render):
                case = Case(job, render, keys, engine)
                verdict = await self._settle(case)
                if case.drawer is not None:  # the world knows the outcome: now there is time
                    self._avatars.keep(case.drawer)
                return verdict

    async def reject(self, record: Record, job_id: str, error: ErrorFacts) -> Verdict:
        """Announce that a record can never become a job; see `JobProcessor.reject`."""
        return await self._announcing.reject(record, job_id, error)

    # --- who works on it

    async def _settle(self, case: Case) -> Verdict:
        """Announce the outcome that is there, or take the lease and make one."""
        watch = self._leases.watch(case.keys.marker, case.job.job_id, case.render_id)
        while True:
            found, held = await self._claim(case, watch)
            if held is None and found is None:
                with elsewhere():
                    while held is None and found is None:
                        await asyncio.sleep(watch.pause_s)
                        found, held = await self._claim(case, watch)
            if found is not None:
                return await self._announcing.announce(case, found, reused=True)
            assert held is not None
            try:
                async with held:
                    return await self._hold(case, held)
            except LeaseLost:
                LEASES_LOST.inc()

    async def _claim(self, case: Case, watch: Watch) -> tuple[Manifest | None, Held | None]:
        """The outcome that is there, or the lease; neither while another holds it."""
        found = await self._find(case)
        if found is not None:
            return found, None
        claim = partial(watch.try_claim, conditions=await self._honours_conditions())
        return None, await patient(claim, "take the lease")

    async def _hold(self, case: Case, held: Held) -> Verdict:
        try:
            return await self._work(case, held)
        except asyncio.CancelledError:
            # This replica leaves: another may begin at once, and the attempt does not count.
            with contextlib.suppress(Fault, LeaseLost, TimeoutError):
                async with asyncio.timeout(LEAVE_S):
                    await held.release(refund=True)
            raise

    async def _honours_conditions(self) -> bool:
        if self._conditions is None:
            self._conditions = await patient(self._leases.honours_conditions, "probe the store")
            if not self._conditions:
                log.warning("this store ignores conditional writes; leases are read back instead")
        return self._conditions

    async def _find(self, case: Case, key: str | None = None) -> Manifest | None:
        """The recorded outcome of a render; None when there is none.

        Where the request's own bucket cannot be used, the failure is recorded in the service's;
        where the store takes no such name, without the request's prefix.
        """
        try:
            return await self._find_at(case, key or case.keys.manifest)
        except Fault as fault:
            if fault.code is not ErrorCode.INVALID_REQUEST:
                raise
            case.rename(self._settings.s3_bucket, fault)
        return await self._find_at(case, case.keys.manifest)

    async def _find_at(self, case: Case, key: str) -> Manifest | None:
        own, look = self._settings.s3_bucket, "look for the manifest"
        bucket = case.keys.bucket
        if bucket != own:
            try:
                found = await patient(partial(self._announcing.find, key, bucket), look, OUTAGE)
            except Fault as fault:
                case.fall_back(own, fault)
            else:
                if found is not None:
                    return found
        return await patient(partial(self._announcing.find, key, own), look)

    async def _find_after(self, case: Case, before: AttemptMarker) -> Manifest | None:
        """What the last holder of the lease recorded, also when its engine had another revision."""
        found = await self._find(case)
        if found is not None or before.render_id == case.render_id:
            return found
        found = await self._find(case, case.keys.manifest_of(before.render_id))
        if found is not None and found.failed is not None and found.failed.error.code in ABSENT:
            return None
        return found

    # --- the work

    async def _work(self, case: Case, held: Held) -> Verdict:
        error: ErrorFacts
        try:
            # Once more under the lease: its last holder may have finished in between.
            found = await self._find_after(case, held.before) if held.before is not None else None
            if found is not None:
                return await self._announce(case, held, found, reused=True)
            done = await self._attempt.adopt(case, held)
            if done is None:
                self._refuse(case, held)
                done = await self._guard(case, held, self._attempt.run(case, held))
        except Fault as fault:
            error = fault.error
        except LeaseLost:
            raise
        except Exception as defect:
            log.exception("defect")
            text = f"{type(defect).__name__}: {defect}"
            error = Fault.of(ErrorCode.INTERNAL, Stage.ADMIT, text[:3000]).error
        else:
            return await self._commit(case, held, done)
        return await self._end_badly(case, held, error)

    def _refuse(self, case: Case, held: Held) -> None:
        """Raise the Fault for which no render is to be started."""
        job, limit = case.job, self._settings.max_attempts
        if case.fault is not None:
            raise case.fault
        if job.cancelled.is_set():
            raise Fault.of(ErrorCode.CANCELLED, Stage.ADMIT, "cancelled before it started")
        if job.request.expired(datetime.now(UTC)):
            raise self._too_late(case)
        if held.attempt >= limit:
            raise _exhausted(held, limit)

    def _too_late(self, case: Case) -> Fault:
        return Fault.of(
            ErrorCode.DEADLINE_EXCEEDED,
            Stage.ADMIT,
            f"the job's deadline {case.job.request.deadline} has passed",
        )

    async def _guard(self, case: Case, held: Held, work: Coroutine[object, object, T]) -> T:
        """Do the work until it is done, or nobody wants it, or it is too late, or not ours."""
        deadline = case.job.request.deadline
        left = None
        if deadline is not None:
            left = max(0.0, (deadline - datetime.now(UTC)).total_seconds())
        task = asyncio.create_task(work)
        unwanted = asyncio.create_task(case.job.cancelled.wait())
        lost = asyncio.create_task(held.lost.wait())
        tasks = (task, unwanted, lost)
        try:
            await asyncio.wait(tasks, timeout=left, return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                return task.result()
            if lost.done():
                raise LeaseLost
            if unwanted.done():
                raise Fault.of(ErrorCode.CANCELLED, Stage.GENERATE, "cancelled while it ran")
            raise self._too_late(case)
        finally:
            for each in tasks:
                each.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    # --- how it ends

    async def _commit(self, case: Case, held: Held, outcome: Completed | Failed) -> Verdict:
        """Record the outcome unless one is there; announce what the record says."""
        mine = records.manifest(case.job, case.render_id, outcome)
        data = mine.model_dump_json().encode()
        # a process that stood still since its upload may have a successor with another MP4
        await patient(held.confirm, "confirm the lease")
        put = partial(self._storage.put_if_absent, case.keys.bucket, case.keys.manifest, data)
        if await patient(put, "put the manifest"):
            if isinstance(outcome, Failed) and held.attempt > 0:
                await self._tidy(case)
            return await self._announce(case, held, mine, reused=False)
        found = await self._find(case)
        return await self._announce(case, held, found or mine, reused=True)

    async def _tidy(self, case: Case) -> None:
        """Remove the MP4 that an attempt may have left which nobody will ever adopt."""
        remove = partial(self._storage.remove, case.keys.bucket, case.keys.mp4)
        try:
            await patient(remove, "remove the MP4", OUTAGE)
        except Fault as fault:  # it expires
            log.warning("an MP4 without a manifest may be left", error=str(fault))

    async def _announce(
        self, case: Case, held: Held, manifest: Manifest, *, reused: bool
    ) -> Verdict:
        tell = self._announcing.announce(case, manifest, reused=reused, first=not reused)
        if manifest.completed is not None:
            verdict, _ = await asyncio.gather(tell, _give_back(held, manifest.render_id))
            return verdict
        verdict = await tell  # the lease tells a successor that the dead letter may be missing
        await _give_back(held, manifest.render_id)
        return verdict

    async def _end_badly(self, case: Case, held: Held, error: ErrorFacts) -> Verdict:
        """Try again later, or record and announce the failure."""
        started = min(held.counted, self._settings.max_attempts)
        if error.retryable and started < self._settings.max_attempts:
            await patient(partial(held.release, last_error=error.code.value), "give the lease back")
            delays = self._settings.retry_delays_s or (0.0,)
            delay = delays[min(started, len(delays)) - 1]
            due = datetime.now(UTC) + timedelta(seconds=delay)
            return await self._announcing.retry(case, error, started, due)
        if error.code is ErrorCode.STORE_DENIED:
            case.fall_back(self._settings.s3_bucket, Fault(error))
        if (error.code, error.stage) == (ErrorCode.INVALID_REQUEST, Stage.STORE):
            case.rename(self._settings.s3_bucket, Fault(error))
        outcome = records.failed(
            case.job, case.render_id, error, started, self._settings.max_attempts
        )
        return await self._commit(case, held, outcome)


def _exhausted(held: Held, limit: int) -> Fault:
    """Why a job gets no further attempt: what the marker says of the last one."""
    last = held.before.last_error if held.before is not None else None
    known = last is not None and last in ErrorCode.__members__
    return Fault.of(
        ErrorCode(last) if known and last is not None else ErrorCode.WORKER_CRASHED,
        Stage.GENERATE,
        f"all {limit} attempts ended without a result, the last one "
        f"{'by ' + last if last else 'with the death of its replica'}",
        attempts=held.attempt,
    )


async def _give_back(held: Held, render_id: str) -> None:
    with contextlib.suppress(Fault, LeaseLost):  # it would only go stale
        await held.release(render_id=render_id)
