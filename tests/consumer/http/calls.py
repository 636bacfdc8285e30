"""What gateway tests ask: inputs in the store, a job's events until they end, its state."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

from consumer.settings import Settings
from tests.consumer.http.stand import Gateway
from tests.support.handles import S3Handle
from tests.support.work import put_inputs


def locations(s3: S3Handle, plan: dict[str, Any] | None = None, name: str = "a.wav") -> Any:
    """Inputs in the store; the plan tells the null renderer what to do."""
    put_inputs(s3, plan or {}, name)
    return {
        "audio_url": f"s3://{s3.bucket}/inputs/{name}",
        "video_url": f"s3://{s3.bucket}/inputs/video.mp4",
    }


async def events(
    made: Gateway, job_id: str, heard: Callable[[], None] = lambda: None
) -> list[tuple[str, dict[str, Any]]]:
    """All server-sent events of a job until the stream ends; `heard` is called at each."""
    found = []
    async with made.http.stream("GET", f"/v1/jobs/{job_id}/events") as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        kind = ""
        async for line in answer.aiter_lines():
            if line.startswith("event: "):
                kind = line[7:]
            elif line.startswith("data: "):
                found.append((kind, json.loads(line[6:])))
                heard()
    return found


async def until_running(made: Gateway, job_id: str) -> None:
    """Wait until a replica works on a job."""
    async with asyncio.timeout(120):
        while (await made.http.get(f"/v1/jobs/{job_id}")).json()["state"] != "running":
            await asyncio.sleep(0.05)


def scratch_is_empty(settings: Settings) -> bool:
    return not [p for p in settings.data_dir.rglob("*") if p.is_file() and p.name != ".lock"]
