"""From an admitted job to its one outcome: the order of side effects, here and nowhere else.

    lease → fetch → attempt marker → render → put MP4 → put manifest → produce the event → return

The manifest is the commit point: it is written only where none is, and whoever finds one announces
what it says. Every crash window only repeats later steps. An outage of the store is waited out
where it strikes; it costs no attempt, and a finished MP4 stays in scratch until it is up.
"""

from __future__ import annotations

import asyncio
import contextlib
from datetime import UTC, datetime, timedelta
from functools import partial

import structlog
from structlog.contextvars import bound_contextvars

from consumer.faults import Fault
from consumer.jobs import Announcer, Job, Record, Verdict
from consumer.metrics import LEASES_LOST, QUEUE_SECONDS
from consumer.places import elsewhere
from consumer.settings import Settings
from consumer.store import records
from consumer.store.held_lease import Held, LeaseLost
from consumer.store.lease import Leases, Watch
from consumer.store.patience import OUTAGE, patient, waited_out
from consumer.store.storage import Storage
from consumer.work.announcing import Announcing
from consumer.work.attempt import Attempts
from consumer.work.case import Case
from consumer.work.recorded import Recorded
from consumer.work.refusal import engine_of, guard, refuse
from consumer.workers.slots import Fleet
from schemas.codes import ErrorCode
from schemas.events import Completed, Failed
from schemas.ids import render_id, wish_id
from schemas.manifest import Manifest
from schemas.render import ErrorFacts

LEAVE_S = 1.5
"""What giving back a lease may take while this replica leaves."""
log = structlog.get_logger(__name__)


class Outcome:
    """Sees jobs to their outcome; implements `consumer.jobs.JobProcessor`."""

    def __init__(
        self,
        settings: Settings,
        storage: Storage,
        fleet: Fleet,
        leases: Leases,
        attempts: Attempts,
        announcer: Announcer,
    ) -> None:
        self._settings = settings
        self._storage = storage
        self._fleet = fleet
        self._leases = leases
        self._recorded = Recorded(storage, settings.s3_bucket)
        self._announcing = Announcing(settings, storage, announcer)
        self._attempts = attempts
        self._conditions: bool | None = None

    async def process(self, job: Job) -> Verdict:
        """See one job to its end; see `JobProcessor.process`."""
        waited = datetime.now(UTC) - job.record.sent_at
        QUEUE_SECONDS.observe(max(0.0, waited.total_seconds()))
        with bound_contextvars(job_id=job.job_id):
            engine = await engine_of(job, self._fleet, self._settings.engine)
            render = render_id(job.request, engine.name, engine.revision, job.generation)
            wish = wish_id(job.request, engine.name, job.generation)
            keys = records.Keys.of(job, render, self._settings.s3_bucket, wish)
            with bound_contextvars(render_id=render):
                case = Case(job, render, keys, engine)
                verdict = await self._settle(case)
                self._attempts.keep_avatar(case)  # the world knows the outcome: now there is time
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
        found = await self._recorded.find(case)
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

    # --- the work

    async def _work(self, case: Case, held: Held) -> Verdict:
        error: ErrorFacts
        try:
            # Once more under the lease: its last holder may have finished in between.
            before = held.before
            found = await self._recorded.find_after(case, before) if before is not None else None
            if found is not None:
                return await self._announce(case, held, found, reused=True)
            done = await self._attempts.adopt(case, held)
            if done is None:
                refuse(case, held, self._settings.max_attempts)
                done = await guard(case, held, self._attempts.run(case, held))
        except Fault as fault:
            error = fault.error
        except LeaseLost:
            raise
        except Exception as defect:
            error = Fault.unforeseen(defect).error
            if error.code is ErrorCode.INTERNAL:
                log.exception("defect")
        else:
            return await self._commit(case, held, done)
        return await self._end_badly(case, held, error)

    # --- how it ends

    async def _commit(self, case: Case, held: Held, outcome: Completed | Failed) -> Verdict:
        """Record the outcome unless one is there; announce what the record says."""
        mine = records.manifest(case.job, case.render_id, outcome)
        data = mine.model_dump_json().encode()
        # a process that stood still since its upload may have a successor with another MP4
        await patient(held.confirm, "confirm the lease")
        put = partial(self._storage.put_if_absent, case.keys.bucket, case.keys.manifest, data)
        place, codes = case.keys, waited_out(case.keys.bucket, self._settings.s3_bucket)
        try:
            written = await patient(put, "put the manifest", codes)
        except Fault as fault:
            if isinstance(outcome, Completed):
                return await self._end_badly(case, held, fault.error)
            case.move(self._settings.s3_bucket, fault)
            if case.keys == place:
                raise
            return await self._commit(case, held, outcome)
        if written:
            if isinstance(outcome, Failed) and held.attempt > 0:
                await self._tidy(case)
            return await self._announce(case, held, mine, reused=False)
        found = await self._recorded.find(case)
        return await self._announce(case, held, found or mine, reused=True)

    async def _tidy(self, case: Case) -> None:
        """Remove the MP4 that an attempt may have left which nobody will ever adopt."""
        if case.keys.mp4 != case.tried.mp4:
            return  # the store takes no such name
        remove = partial(self._storage.remove, case.tried.bucket, case.tried.mp4)
        try:
            await patient(remove, "remove the MP4", OUTAGE)
        except Fault as fault:  # it expires
            log.warning("an MP4 without a manifest may be left", error=str(fault))

    async def _announce(
        self, case: Case, held: Held, manifest: Manifest, *, reused: bool
    ) -> Verdict:
        tell = self._announcing.announce(case, manifest, reused=reused)
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
        case.move(self._settings.s3_bucket, Fault(error))
        outcome = records.failed(
            case.job, case.render_id, error, started, self._settings.max_attempts
        )
        return await self._commit(case, held, outcome)


async def _give_back(held: Held, render_id: str) -> None:
    with contextlib.suppress(Fault, LeaseLost):  # it would only go stale
        await held.release(render_id=render_id)
