"""Fetches a job's two inputs to its scratch folder."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from consumer.faults import Fault
from consumer.remote.download import Whole
from consumer.settings import Settings
from consumer.store.patience import OUTAGE, patient
from consumer.store.records import Side
from consumer.store.storage import Storage
from schemas.events import InputFacts
from schemas.refs import ObjectRef, file_suffix, parse_ref
from schemas.request import RenderRequest


@dataclass(frozen=True, slots=True)
class Inputs:
    """Both inputs on disk."""

    audio: Path
    video: Path
    facts: dict[Side, InputFacts]


async def fetch_inputs(
    storage: Storage, settings: Settings, request: RenderRequest, folder: Path
) -> Inputs:
    """Fetch speech and reference at the same time; an outage of the store is waited out.

    Raises:
        Fault: INPUT_NOT_FOUND, INPUT_FORBIDDEN, INPUT_TOO_LARGE, INPUT_UNREACHABLE, STORE_DENIED,
            SCRATCH_FULL.
        OSError: by this machine.
    """
    sides: dict[Side, str] = {"audio": request.audio_url, "video": request.video_url}
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(_fetch(storage, settings, side, url, folder))
                for side, url in sides.items()
            ]
    except ExceptionGroup as group:
        raise _first(group) from None
    (audio, audio_facts), (video, video_facts) = (task.result() for task in tasks)
    return Inputs(audio, video, {"audio": audio_facts, "video": video_facts})


def _first(group: ExceptionGroup[Exception]) -> Exception:
    """What a side failed by; a fault before all else, as it says what to do."""
    return min(group.exceptions, key=lambda error: not isinstance(error, Fault))


async def _fetch(
    storage: Storage, settings: Settings, side: Side, url: str, folder: Path
) -> tuple[Path, InputFacts]:
    ref = parse_ref(url)
    path = folder / f"{side}{file_suffix(ref)}"
    limit = settings.max_input_bytes
    fetched: Whole
    if isinstance(ref, ObjectRef):
        fetched = await patient(partial(storage.fetch, ref, path, limit), f"fetch {side}", OUTAGE)
    else:
        from consumer.remote.body import RemotePolicy
        from consumer.remote.fetch import fetch_remote

        fetched = await fetch_remote(ref, path, RemotePolicy.of(settings))
    shown = url.split("?", 1)[0] if not isinstance(ref, ObjectRef) else url
    return path, InputFacts(url=shown, size=fetched.size, sha256=fetched.sha256)
