"""Checks of this machine: room on its disk, and how many jobs a worker will take."""

from __future__ import annotations

import os
import shutil

from consumer.doctor.findings import Finding
from consumer.settings import Settings
from consumer.workers.devices import placed
from consumer.workers.slot_budget import SHARE, at_most


async def disk(settings: Settings) -> list[Finding]:
    """Room for the largest jobs that may run together."""
    folder = settings.data_dir
    there = next(path for path in (folder, *folder.parents) if path.exists())
    free = shutil.disk_usage(there).free
    text = f"{free / 1e9:.1f} GB free at {folder}"
    if not there.is_dir():
        text = f"{there} is no folder" if there == folder else f"{there} on its way is no folder"
        return [Finding("disk", "bad", f"DUIX_DATA_DIR: {text}", "Correct DUIX_DATA_DIR.")]
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


async def slots(settings: Settings) -> list[Finding]:
    """Jobs at a time for each worker."""
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
