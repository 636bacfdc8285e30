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
from datetime import UTC, datetime
from typing import Any, Literal

from aiokafka.errors import KafkaError

from consumer import lifecycle
from consumer.connecting import CONNECT_S, ClientFailed
from consumer.devices import placed
from consumer.faults import Fault
from consumer.rights import lacking
from consumer.settings import Settings
from consumer.slot_budget import SHARE, at_most
from consumer.storage import Storage
from consumer.topics_apply import Change, admin, brokers, partitions, plan
from consumer.topics_file import default_path as topics_path
from consumer.topics_file import read as read_topics
from schemas.codes import ErrorCode, Stage

TIMEOUT_S = CONNECT_S + 5.0
SKEW_WARN_S, SKEW_BAD_S = 5.0, 300.0
"""S3 servers refuse signatures that are off by 15 minutes; URLs and deadlines suffer sooner."""
CLOCK_ADVICE = "Let NTP set the clocks of this machine and the store."
LEAST_EVENT_BYTES = 32 * 1024
"""What a shortened outcome may have: long locations, twenty warnings."""
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
        place = {"kafka": ", ".join(settings.kafka_servers), "store": settings.s3_endpoint}
        text = f"{place.get(name, name)}: no answer within {TIMEOUT_S:g} s"
        return [Finding(name, "bad", text, "Check the network.")]


async def _kafka(settings: Settings) -> list[Finding]:
    began = time.monotonic()
    try:
        async with admin(settings) as client:
            alive, found = await brokers(client), await partitions(client)
            took = time.monotonic() - began
            topics = _topics(settings, found) or await _configs(settings, client, found)
        refused = await _access(settings)
    except (ClientFailed, KafkaError) as error:
        return [
            Finding(
                "kafka",
                "bad",
                str(error),
                "Start the brokers, or correct KAFKA_BOOTSTRAP_SERVERS, KAFKA_SECURITY_PROTOCOL, "
                "KAFKA_SASL_* or KAFKA_SSL_CA_FILE.",
            )
        ]
    where = ", ".join(settings.kafka_servers)
    state: State = "ok" if took < LATE_S else "warn"
    text = f"{alive} broker(s) at {where}, answered in {took:.2f} s"
    return [Finding("kafka", state, text), topics, *refused]


async def _access(settings: Settings) -> list[Finding]:
    """What ACLs forbid the service; nothing where all is allowed."""
    lacks = await asyncio.to_thread(lacking, settings)
    if not lacks:
        return []
    user = settings.kafka_user or "the service"
    text = f"the brokers' ACLs refuse {user!r}: {'; '.join(lacks)}"
    return [Finding("access", "bad", text, "Allow it (deploy/runbook.md, Access).")]


def _topics(settings: Settings, found: dict[str, int]) -> Finding | None:
    """What is missing; None when every topic is there."""
    missing = [name for name in settings.topics.all() if name not in found]
    if missing:
        advice = "Run `face2face topics apply`; if they exist, an ACL must allow Describe on them."
        return Finding("topics", "bad", f"missing: {', '.join(missing)}", advice)
    return None


async def _configs(settings: Settings, client: Any, found: dict[str, int]) -> Finding:
    """Partitions and configs against deploy/topics.yaml: less than wanted is worth a word."""
    counts = ", ".join(f"{name} {found[name]}" for name in settings.topics.all())
    wanted = read_topics(topics_path()).named(settings.topic_prefix)
    try:
        changes = [c for c in await plan(client, wanted, 1) if c.action != "keep"]
    except KafkaError as error:
        return Finding("topics", "ok", f"partitions: {counts} (configs not readable: {error!r})")
    if not changes:
        return Finding("topics", "ok", f"partitions: {counts}")
    said = "; ".join(
        f"{c.topic} has {c.found_partitions} of {c.partitions} partitions"
        if c.action == "grow"
        else f"{c.topic}: {', '.join(f'{k}={v}' for k, v in sorted(c.config.items()))} is wanted"
        for c in changes
    )
    small = [c.topic for c in changes if _takes_no_event(c, settings)]
    state: State = "bad" if small else "warn"
    if small:
        said += (
            f"; {', '.join(small)}: an event may have {LEAST_EVENT_BYTES} bytes: jobs would wait"
        )
    return Finding(
        "topics", state, f"partitions: {counts}; {said}", "Run `face2face topics apply`."
    )


def _takes_no_event(change: Change, settings: Settings) -> bool:
    """True for a topic of outcomes that does not take all of them, not even shortened."""
    found = change.found_config.get("max.message.bytes")
    outcomes = (settings.topics.completed, settings.topics.failed)
    return change.topic in outcomes and found is not None and int(found) < LEAST_EVENT_BYTES


async def _store(settings: Settings) -> list[Finding]:
    storage = Storage(settings)
    try:
        await storage.check()
        works = await _write_and_read(storage, settings.s3_bucket)
        more = [await _expiry(settings, storage), await _clock(storage)]
    except Fault as fault:
        advice = (
            "Correct S3_ENDPOINT, S3_ACCESS_KEY, S3_SECRET_KEY, S3_REGION or S3_BUCKET; a "
            "missing bucket is made by `face2face lifecycle apply --make-bucket`."
        )
        if "clock_ahead_s" in fault.error.detail:
            advice = CLOCK_ADVICE
        return [Finding("store", "bad", f"{settings.s3_endpoint}: {fault.what}", advice)]
    finally:
        storage.close()
    text = f"bucket {settings.s3_bucket!r} at {settings.s3_endpoint} can be written and read"
    return [works or Finding("store", "ok", text), *more]


async def _expiry(settings: Settings, storage: Storage) -> Finding:
    """The bucket's rules against deploy/lifecycle.yaml, or who else expires there."""
    wanted = lifecycle.read(lifecycle.default_path())
    try:
        found = await lifecycle.check(storage, settings.s3_bucket, wanted)
    except Fault as fault:
        if fault.code is not ErrorCode.STORE_DENIED:
            raise
        advice = "Allow reading the bucket's lifecycle, or say by F2F_SWEEP who expires there."
        return Finding("expiry", "warn", fault.what, advice)
    if found.ok:
        return Finding("expiry", "ok", "the bucket's rules are those of deploy/lifecycle.yaml")
    swept = settings.sweep == "always" or (not found.supported and settings.sweep == "auto")
    if swept and found.versions != "stay":
        text = f"the service sweeps by itself (F2F_SWEEP={settings.sweep})"
        return Finding("expiry", "ok", text)
    if found.supported:
        return Finding(
            "expiry", "warn", "; ".join(found.warnings), "Run `face2face lifecycle apply`."
        )
    advice = "Set F2F_SWEEP=auto, or run `face2face lifecycle sweep --apply` now and then."
    return Finding("expiry", "warn", "; ".join(found.warnings), advice)


async def _clock(storage: Storage) -> Finding:
    """This machine's clock against the store's, which signatures and deadlines depend on."""
    began = datetime.now(UTC)
    theirs = await storage.server_time()
    middle = began + (datetime.now(UTC) - began) / 2
    skew = (middle - theirs).total_seconds() - 0.5  # `Date` is cut to the second
    text = f"{abs(skew):.0f} s {'ahead of' if skew > 0 else 'behind'} the store's"
    if abs(skew) <= SKEW_WARN_S:
        return Finding("clock", "ok", f"within {SKEW_WARN_S:g} s of the store's")
    state: State = "bad" if abs(skew) > SKEW_BAD_S else "warn"
    return Finding("clock", state, text, CLOCK_ADVICE)


async def _write_and_read(storage: Storage, bucket: str) -> Finding | None:
    """None where all works; a warning where nothing can be removed.

    Raises:
        Fault: the bucket cannot be written and read.
    """
    key, data = "inputs/.face2face-doctor", str(time.time_ns()).encode()
    await storage.put(bucket, key, data)
    found = await storage.get(bucket, key)
    if found is None or found[0] != data:
        raise Fault.of(ErrorCode.STORE_UNAVAILABLE, Stage.STORE, f"{key!r} does not read back")
    try:
        await storage.remove(bucket, key)
    except Fault as fault:
        advice = "Allow removing objects: the service works, and leaves what it would clean up."
        return Finding("store", "warn", fault.what, advice)
    return None


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
    room = (
        settings.max_input_bytes
        * 2
        * ((settings.slots or _slots_at_most(settings)) + settings.backlog)
    )
    if free < room:
        advice = "Lower F2F_MAX_INPUT_BYTES or F2F_BACKLOG, or take a larger disk."
        return [
            Finding(
                "disk", "warn", f"{text}; the largest jobs may need {room / 1e9:.0f} GB", advice
            )
        ]
    return [Finding("disk", "ok", text)]


async def _slots(settings: Settings) -> list[Finding]:
    if settings.slots is not None:
        return [Finding("slots", "ok", f"{settings.slots} for each worker, by F2F_SLOTS")]
    if _slots_at_most(settings) == 1:
        return [Finding("slots", "ok", "auto: 1, as no GPU is used")]
    text = (
        f"auto: a worker measures its GPU when it is warm and takes what {SHARE:.0%} of the memory"
        f" holds for {settings.workers_per_gpu} worker(s), at most {_slots_at_most(settings)};"
        " /health says what was chosen and why"
    )
    return [Finding("slots", "ok", text)]


def _slots_at_most(settings: Settings) -> int:
    devices, processors = placed(settings)
    return at_most(processors) if any(device.visible for device in devices) else 1


CHECKS: tuple[Check, ...] = (_kafka, _store, _disk, _slots)
