"""`python -m tests.support.replica_main FILE`: a replica that kills itself at a named instant.

FILE is JSON: `env` (settings), `job` (fields of the request) and `kill`, one of

    marker    the attempt is counted, the render not begun
    render    the render runs
    mp4       MP4 and draft are up, the manifest is not
    manifest  the manifest is up, nothing is announced
    announce  the event is produced, the offset open
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

from consumer.jobs import Job, Record
from consumer.processing import open_processor
from consumer.settings.load import load
from consumer.store import storage
from schemas.events import Completed, Progress
from schemas.request import RenderRequest
from tests.support.null_render import RENDERER
from tests.support.work import Memory


def die() -> None:
    """End as a power cut would."""
    os.kill(os.getpid(), signal.SIGKILL)


class DyingMemory(Memory):
    """Dies when told a certain thing."""

    def __init__(self, kill: str) -> None:
        super().__init__()
        self._kill = kill

    async def completed(self, event: Completed, event_id: str, traceparent: str | None) -> None:
        sys.stdout.write(f"event {event_id}\n")
        sys.stdout.flush()
        if self._kill == "announce":
            die()

    def progress(self, event: Progress) -> None:
        # The first sign of life comes before the renderer is called.
        if self._kill == "render" and event.stage == "generate":
            die()


def arm(kill: str) -> None:
    """Make the store's client die around one of its writes."""
    put, put_if_absent = storage.Storage.put, storage.Storage.put_if_absent

    async def dying_put(self: Any, bucket: str, key: str, data: bytes, **more: Any) -> Any:
        answer = await put(self, bucket, key, data, **more)
        if kill == "marker" and key.startswith("attempts/") and b'"attempt":1' in data:
            die()
        return answer

    async def dying_put_if_absent(self: Any, bucket: str, key: str, data: bytes) -> bool:
        if kill == "mp4":
            die()
        answer = await put_if_absent(self, bucket, key, data)
        if kill == "manifest":
            die()
        return answer

    storage.Storage.put = dying_put  # type: ignore[method-assign]
    storage.Storage.put_if_absent = dying_put_if_absent  # type: ignore[method-assign]


async def run(order: dict[str, Any]) -> None:
    """Process the one job."""
    request = RenderRequest.model_validate(order["job"])
    record = Record("t", 0, 0, None, b"{}", (), int(time.time() * 1000))
    job = Job(record=record, job_id=str(request.job_id), request=request)
    memory = DyingMemory(order["kill"])
    async with open_processor(load(order["env"]), memory, renderer=RENDERER) as processing:
        await processing.processor.process(job)


if __name__ == "__main__":
    given = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    arm(given["kill"])
    asyncio.run(run(given))
