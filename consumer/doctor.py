"""Checks of everything that the service needs around it: brokers, topics, store, disk, settings.

Each check is a function of the settings that says what it found and what to do; none changes
anything, and none stops another one from running.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal

from aiokafka.errors import KafkaError

from consumer.client import ClientFailed
from consumer.faults import Fault
from consumer.settings import Settings
from consumer.storage import Storage
from consumer.topics_apply import admin, brokers, partitions
from schemas.codes import ErrorCode, Stage

TIMEOUT_S = 15.0
LATE_S = 2.0
"""An answer later than this works, and makes every job slow."""

State = Literal["ok", "warn", "bad"]


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found."""

    check: str
    state: State
    text: str
    advice: str = ""
    """What to do; empty when there is nothing to do."""


Check = Callable[[Settings], Awaitable[list[Finding]]]


async def examine(settings: Settings) -> list[Finding]:
    """Run all checks side by side; findings in the order of the checks."""
    found = await asyncio.gather(*(_guarded(check, settings) for check in CHECKS))
    return [finding for findings in found for finding in findings]


async def _guarded(check: Check, settings: Settings) -> list[Finding]:
    name = check.__name__.lstrip("_")
    try:
        return await asyncio.wait_for(check(settings), TIMEOUT_S)
    except TimeoutError:
        return [Finding(name, "bad", f"no answer within {TIMEOUT_S:g} s", "Check the network.")]


async def _kafka(settings: Settings) -> list[Finding]:
    began = time.monotonic()
    try:
        async with admin(settings) as client:
            alive, found = await brokers(client), await partitions(client)
    except (ClientFailed, KafkaError) as error:
        return [
            Finding(
                "kafka",
                "bad",
                str(error),
                "Start the brokers, or correct KAFKA_BOOTSTRAP_SERVERS.",
            )
        ]
    took = time.monotonic() - began
    where = ", ".join(settings.kafka_servers)
    state: State = "ok" if took < LATE_S else "warn"
    text = f"{alive} broker(s) at {where}, answered in {took:.2f} s"
    return [Finding("kafka", state, text), _topics(settings, found)]


def _topics(settings: Settings, found: dict[str, int]) -> Finding:
    missing = [name for name in settings.topics.all() if name not in found]
    if missing:
        return Finding(
            "topics", "bad", f"missing: {', '.join(missing)}", "Run `face2face topics apply`."
        )
    counts = ", ".join(f"{name} {found[name]}" for name in settings.topics.all())
    return Finding("topics", "ok", f"partitions: {counts}")


async def _store(settings: Settings) -> list[Finding]:
    storage = Storage(settings)
    try:
        await storage.check()
        await _write_and_read(storage, settings.s3_bucket)
    except Fault as fault:
        return [
            Finding(
                "store",
                "bad",
                f"{settings.s3_endpoint}: {fault.error.message}",
                "Correct S3_ENDPOINT, S3_ACCESS_KEY, S3_SECRET_KEY or S3_BUCKET; a missing bucket "
                "is made by `face2face lifecycle apply --make-bucket`.",
            )
        ]
    finally:
        storage.close()
    text = f"bucket {settings.s3_bucket!r} at {settings.s3_endpoint} can be written and read"
    return [Finding("store", "ok", text)]


async def _write_and_read(storage: Storage, bucket: str) -> None:
    key, data = "inputs/.face2face-doctor", str(time.time_ns()).encode()
    await storage.put(bucket, key, data)
    found = await storage.get(bucket, key)
    await storage.remove(bucket, key)
    if found is None or found[0] != data:
        raise Fault.of(ErrorCode.STORE_UNAVAILABLE, Stage.STORE, f"{key!r} does not read back")


async def _disk(settings: Settings) -> list[Finding]:
    folder = settings.data_dir
    there = next(path for path in (folder, *folder.parents) if path.exists())
    free = shutil.disk_usage(there).free
    text = f"{free / 1e9:.1f} GB free at {folder}"
    if not os.access(there, os.W_OK):
        return [Finding("disk", "bad", f"{there} cannot be written", "Correct DUIX_DATA_DIR.")]
    if free < settings.min_free_bytes:
        return [
            Finding(
                "disk",
                "bad",
                f"{text}, below F2F_MIN_FREE_BYTES = {settings.min_free_bytes}: intake pauses",
                "Free space, or point DUIX_DATA_DIR at a larger disk.",
            )
        ]
    room = settings.max_input_bytes * 2 * (settings.slots + settings.backlog)
    if free < room:
        advice = "Lower F2F_MAX_INPUT_BYTES or F2F_BACKLOG, or take a larger disk."
        return [
            Finding(
                "disk", "warn", f"{text}; the largest jobs may need {room / 1e9:.0f} GB", advice
            )
        ]
    return [Finding("disk", "ok", text)]


CHECKS: tuple[Check, ...] = (_kafka, _store, _disk)
