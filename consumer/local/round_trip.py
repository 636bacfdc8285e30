"""A request's way from this machine's files and back: upload, submit, follow, fetch the MP4.

It uses nothing but the two open interfaces, topics and bucket, as any upstream would.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

from consumer.background import in_background
from consumer.faults import Fault
from consumer.kafka.client import Client, Event
from consumer.local.console import CommandError, say
from consumer.local.files import why_unreadable
from consumer.store.job_files import fetch_result, put_input
from consumer.store.storage import Storage, file_sha256
from schemas.codes import ErrorCode, Stage
from schemas.events import Completed, Failed
from schemas.refs import RefError, name_suffix, parse_ref

QUIET_S = 15.0
"""Silence after a request from which on somebody who looks on is told what it may mean."""

OnEvent = Callable[[Event], None]


def check(given: str) -> None:
    """Refuse an input that can never be provided, before anything is done about the other one.

    Raises:
        Fault: INPUT_NOT_FOUND for no such file, INVALID_REQUEST for a wrong location.
    """
    if "://" in given:
        try:
            parse_ref(given)
        except RefError as error:
            raise Fault.of(ErrorCode.INVALID_REQUEST, Stage.ADMIT, str(error)) from error
        return
    why = why_unreadable(Path(given))
    if why is not None:
        raise Fault.of(ErrorCode.INPUT_NOT_FOUND, Stage.ADMIT, f"{given!r} {why}", path=given)


async def provide(storage: Storage, bucket: str, given: str) -> str:
    """The location of an input: as given when it is one, else that of its upload.

    Raises:
        Fault: what `check` and the store raise.
    """
    check(given)
    if "://" in given:
        return given
    path = Path(given)
    return await put_input(storage, bucket, path, file_sha256(path), name_suffix(path.name))


async def follow(client: Client, job_id: str, timeout_s: float, on_event: OnEvent) -> Completed:
    """Hear all that is said about a job until its outcome.

    Raises:
        CommandError: the job failed, with the error of its event, or no outcome came in time.
    """
    try:
        asking = {"brokers": partial(_tell_of_brokers, client)}
        async with in_background(asking), asyncio.timeout(timeout_s):
            with _quiet(job_id) as heard:
                async for event in client.events(job_id):
                    heard()
                    on_event(event)
                    if event.kind == "failed":
                        raise CommandError(Failed.model_validate(event.data).error)
                    if event.kind == "completed":
                        return Completed.model_validate(event.data)
    except TimeoutError:
        pass
    raise CommandError.plain(
        ErrorCode.DEADLINE_EXCEEDED,
        Stage.ANNOUNCE,
        f"no outcome of job {job_id!r} within {timeout_s:g} s. It was not cancelled: the same "
        f"command with --job-id {job_id} and a longer --timeout waits on, and nothing is rendered "
        "twice. `face2face doctor` and /readyz of the service say whether anybody works.",
        job_id=job_id,
    )


async def _tell_of_brokers(client: Client) -> None:
    """Say when the brokers stop to answer: an outcome may be long in coming, or never heard."""
    told = None
    while True:
        await asyncio.sleep(QUIET_S)
        why = await client.why_silent()
        if why != told:
            say(f"{why}; waiting on" if why else "the brokers answer again")
        told = why


@contextmanager
def _quiet(job_id: str) -> Iterator[Callable[[], None]]:
    """Say what it may mean where nothing is heard for a while; yields what is to be called then."""
    text = (
        f"nothing is heard of job {job_id} yet: it waits its turn, or no service runs on these "
        "brokers (`face2face run`)"
    )
    timer = asyncio.get_running_loop().call_later(QUIET_S, say, text)
    try:
        yield timer.cancel
    finally:
        timer.cancel()


async def bring(storage: Storage, completed: Completed, path: Path, *, kept: bool = True) -> Path:
    """Fetch the MP4 and compare it with what the event says.

    Args:
        kept: whether it can still be fetched from the store when this fails.

    Raises:
        Fault: what the store raises, or OUTPUT_INVALID when the digest differs.
        CommandError: SCRATCH_FULL, with the folder; INVALID_REQUEST where it takes no file now.
    """
    output = completed.output
    stays = f"; the MP4 stays in the store, {output.url}" if kept else ""
    half = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        await fetch_result(storage, output, half)
        half.replace(path)
    except Fault as fault:
        if fault.code is not ErrorCode.SCRATCH_FULL:
            raise
        text = f"no room in {str(path.parent)!r} for {output.size} bytes{stays}"
        raise CommandError.plain(fault.code, fault.error.stage, text) from fault
    except OSError as error:
        text = f"{str(path)!r} cannot be written: {error.strerror}{stays}"
        raise CommandError.plain(ErrorCode.INVALID_REQUEST, Stage.FETCH, text) from error
    finally:
        with suppress(OSError):
            half.unlink(missing_ok=True)
    return path
