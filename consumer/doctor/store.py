"""Checks of the store: its bucket is written and read, expires what it should, and keeps time."""

from __future__ import annotations

import time
from datetime import UTC, datetime

from consumer.doctor.findings import Finding, State
from consumer.faults import Fault
from consumer.settings import Settings
from consumer.store import lifecycle
from consumer.store.storage import Storage
from schemas.codes import ErrorCode, Stage

SKEW_WARN_S, SKEW_BAD_S = 5.0, 300.0
"""S3 servers refuse signatures that are off by 15 minutes; URLs and deadlines suffer sooner."""
CLOCK_ADVICE = "Let NTP set the clocks of this machine and the store."


async def store(settings: Settings) -> list[Finding]:
    """Bucket, expiry and clock."""
    storage = Storage(settings)
    try:
        await storage.check()
        works = await _write_and_read(storage, settings.s3_bucket)
        more = [await _expiry(settings, storage), await _clock(storage)]
    except Fault as fault:
        advice = (
            "Correct S3_ENDPOINT, S3_ACCESS_KEY, S3_SECRET_KEY, S3_REGION, S3_CA_FILE or"
            " S3_BUCKET; a missing bucket is made by `face2face lifecycle apply --make-bucket`."
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
