"""Why no render is started, or a running one is given up: cancelled, too late, tried too often."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from datetime import UTC, datetime
from typing import TypeVar

from consumer.faults import Fault
from consumer.jobs import Job
from consumer.store.held_lease import Held, LeaseLost
from consumer.waiting import Overtaken, unless
from consumer.work.case import Case
from consumer.workers.slots import ABSENT, EngineChoice, Fleet
from schemas.codes import ErrorCode, Stage

T = TypeVar("T")
STARTS_S = 30.0
"""Longest wait for a worker that starts, on behalf of a job that nobody wants any more."""


def refuse(case: Case, held: Held, limit: int) -> None:
    """Raise the Fault for which no render is to be started."""
    job = case.job
    if case.fault is not None:
        raise case.fault
    if job.cancelled.is_set():
        raise Fault.of(ErrorCode.CANCELLED, Stage.ADMIT, "cancelled before it started")
    if job.request.expired(datetime.now(UTC)):
        raise _too_late(job)
    if held.attempt >= limit:
        raise _exhausted(held, limit)


async def engine_of(job: Job, fleet: Fleet, default: str) -> EngineChoice:
    """The engine of a job, waited for until a worker has said what it can run.

    A job that is cancelled or too late meanwhile has none, and bears the reason: it fails without
    a worker, which may be long in coming.
    """
    name = job.request.engine or default
    try:
        return await _while_wanted(job, fleet.engine(name), "cancelled before it started")
    except Fault as fault:
        unwanted = fault
    with suppress(TimeoutError):
        # it may have an outcome, whose name bears the engine's revision
        if await asyncio.wait_for(fleet.told(), STARTS_S):
            return await fleet.engine(name)
    return EngineChoice(name, ABSENT, unwanted)


async def guard(case: Case, held: Held, work: Coroutine[object, object, T]) -> T:
    """Do the work until it is done, or nobody wants it, or it is too late, or not ours.

    Raises:
        Fault: CANCELLED, DEADLINE_EXCEEDED, or what the work raises.
        LeaseLost: another replica works on it.
    """
    return await _while_wanted(case.job, work, "cancelled while it ran", held.lost)


async def _while_wanted(
    job: Job,
    work: Coroutine[object, object, T],
    cancelled: str,
    taken: asyncio.Event | None = None,
) -> T:
    deadline = job.request.deadline
    left = None
    if deadline is not None:
        left = max(0.0, (deadline - datetime.now(UTC)).total_seconds())
    events = [job.cancelled] if taken is None else [job.cancelled, taken]
    try:
        return await unless(work, *events, timeout_s=left)
    except Overtaken:
        if taken is not None and taken.is_set():
            raise LeaseLost from None
        if job.cancelled.is_set():
            stage = Stage.GENERATE if taken is not None else Stage.ADMIT
            raise Fault.of(ErrorCode.CANCELLED, stage, cancelled) from None
        raise _too_late(job) from None


def _too_late(job: Job) -> Fault:
    return Fault.of(
        ErrorCode.DEADLINE_EXCEEDED,
        Stage.ADMIT,
        f"the job's deadline {job.request.deadline} has passed",
    )


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
