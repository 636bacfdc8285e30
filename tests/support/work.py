"""One replica's work without Kafka: a store, null renders, and an announcer that remembers."""

from __future__ import annotations

import asyncio
import io
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from consumer.jobs import Job, Record
from consumer.processing import Processing, open_processor
from consumer.settings import Settings
from consumer.settings.load import load
from schemas.events import Completed, Failed, Progress
from schemas.render import ErrorFacts
from schemas.request import RenderRequest
from tests.support.handles import S3Handle
from tests.support.null_render import RENDERER

VIDEO = b"a reference that nobody decodes"


@dataclass
class Memory:
    """An Announcer that keeps what it was told, in order."""

    told: list[tuple[str, Any]] = field(default_factory=list)
    event_ids: list[str] = field(default_factory=list)

    async def completed(self, event: Completed, event_id: str, traceparent: str | None) -> None:
        self.told.append(("completed", event))
        self.event_ids.append(event_id)

    async def failed(self, event: Failed, event_id: str, traceparent: str | None) -> None:
        self.told.append(("failed", event))
        self.event_ids.append(event_id)

    async def retry(
        self, record: Record, job_id: str, error: ErrorFacts, attempt: int, due: datetime
    ) -> None:
        self.told.append(("retry", (job_id, error.code, attempt, due)))

    async def dead_letter(
        self, record: Record, job_id: str, error: ErrorFacts, attempt: int
    ) -> None:
        self.told.append(("dead_letter", (job_id, error.code, attempt)))

    def progress(self, event: Progress) -> None:
        self.told.append(("progress", event))

    def kinds(self) -> list[str]:
        """What was told, without signs of life."""
        return [kind for kind, _ in self.told if kind != "progress"]

    def only(self, kind: str) -> Any:
        """The one message of that kind."""
        found = [value for name, value in self.told if name == kind]
        assert len(found) == 1, (kind, self.kinds())
        return found[0]


def settings_for(s3: S3Handle, folder: Path, **changes: Any) -> Settings:
    """Settings for a replica with scratch under `folder`; names as in the environment."""
    values = {
        **s3.env,
        "DUIX_DATA_DIR": str(folder),
        "F2F_DEVICES": "cpu",
        "F2F_THREADS": "1",
        "F2F_LEASE_S": "1.5",
        "CLEANUP_DELAY": "0",
        "F2F_RETRY_DELAYS_S": "10,60",
        "F2F_MIN_FREE_BYTES": "0",
    }
    return load({**values, **{name: str(value) for name, value in changes.items()}})


def put_inputs(s3: S3Handle, plan: dict[str, Any] | bytes, name: str = "speech.wav") -> None:
    """Upload a speech with a plan for the null renderer, and a reference."""
    speech = plan if isinstance(plan, bytes) else json.dumps(plan).encode()
    client = s3.client()
    client.put_object(s3.bucket, f"inputs/{name}", io.BytesIO(speech), len(speech))
    client.put_object(s3.bucket, "inputs/video.mp4", io.BytesIO(VIDEO), len(VIDEO))


def make_job(s3: S3Handle, job_id: str = "job-1", *, name: str = "speech.wav", **more: Any) -> Job:
    """A job on the uploaded inputs; `generation` and fields of the request may be given."""
    generation = more.pop("generation", 0)
    fields = {
        "audio_url": f"s3://{s3.bucket}/inputs/{name}",
        "video_url": f"s3://{s3.bucket}/inputs/video.mp4",
        "job_id": job_id,
        **more,
    }
    request = RenderRequest.model_validate(fields)
    value = json.dumps(fields, default=str).encode()
    record = Record("t", 0, 0, job_id.encode(), value, (), int(time.time() * 1000))
    return Job(record=record, job_id=job_id, request=request, generation=generation)


@dataclass
class Replica:
    """One open replica."""

    memory: Memory
    processing: Processing
    settings: Settings

    async def process(self, job: Job) -> Any:
        """Process one job, within a limit that only a defect reaches."""
        return await asyncio.wait_for(self.processing.processor.process(job), 120)


@asynccontextmanager
async def replica(
    s3: S3Handle, folder: Path, *, renderer: str = RENDERER, **changes: Any
) -> AsyncIterator[Replica]:
    """Open a replica with null renders."""
    settings = settings_for(s3, folder, **changes)
    memory = Memory()
    async with open_processor(settings, memory, renderer=renderer) as processing:
        yield Replica(memory, processing, settings)


def starts(log: Path) -> int:
    """Renders that started, by the null renderer's log."""
    return len(log.read_text(encoding="utf-8").splitlines()) if log.exists() else 0


def job_folders(folder: Path) -> list[str]:
    """What scratch holds beside locks."""
    found = (folder / "jobs").rglob("*") if (folder / "jobs").exists() else []
    return [path.name for path in found if path.name != ".lock" and path.parent.name != "jobs"]


async def until(ready: Any, limit_s: float = 120.0) -> None:
    """Ask until it holds."""
    async with asyncio.timeout(limit_s):
        while not ready():
            await asyncio.sleep(0.02)
