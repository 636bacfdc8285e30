"""Real worker children with null renders, and what tests ask of them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from consumer.faults import Fault
from consumer.workers.devices import Device
from consumer.workers.protocol import Render, RenderLimits, RunTick, Start
from consumer.workers.worker import Worker
from schemas.render import RenderReport
from schemas.request import RenderOptions
from tests.support.null_render import RENDERER
from tests.support.work import until

CPU = Device("cpu", "")
SECRETS = {
    "S3_SECRET_KEY": "s3-secret-value",
    "S3_ACCESS_KEY": "s3-access-value",
    "KAFKA_SASL_PASSWORD": "kafka-secret-value",
    "AWS_SECRET_ACCESS_KEY": "aws-secret-value",
    "HF_TOKEN": "hub-secret-value",
    "S3_SECRET_KEY_FILE": "/run/secrets/file-secret-value",
}


@asynccontextmanager
async def running_worker(
    *, stall_s: float = 30.0, renderer: str = RENDERER, warm: str | None = None
) -> AsyncIterator[Worker]:
    worker = Worker(CPU, Start(renderer, warm), stall_timeout_s=stall_s)
    worker.start()
    try:
        yield worker
    finally:
        await worker.stop()


@asynccontextmanager
async def ready_worker(stall_s: float = 30.0) -> AsyncIterator[Worker]:
    async with running_worker(stall_s=stall_s) as worker:
        await until_ready(worker)
        yield worker


async def until_ready(worker: Worker) -> None:
    await until(lambda: worker.state == "ready")


def order_of(worker: Worker, folder: Path, plan: dict[str, Any], budget_s: float = 60) -> Render:
    run = worker.next_run()
    own = folder / run
    own.mkdir()
    (own / "audio").write_text(json.dumps(plan), encoding="utf-8")
    (own / "video").write_bytes(b"v")
    return Render(
        run=run,
        job_id=run,
        audio=str(own / "audio"),
        video=str(own / "video"),
        output=str(own / "out.mp4"),
        scratch=str(own),
        engine="viseme",
        options=RenderOptions(),
        limits=RenderLimits(max_pixels=1, max_video_s=1, max_audio_s=1, max_bytes=1),
        threads=1,
        budget_s=budget_s,
    )


async def render(
    worker: Worker,
    folder: Path,
    plan: dict[str, Any],
    budget_s: float = 60,
    on_progress: Callable[[RunTick], None] = lambda _: None,
) -> RenderReport:
    order = order_of(worker, folder, plan, budget_s)
    return await asyncio.wait_for(worker.render(order, on_progress), 120)


async def fault_of(worker: Worker, folder: Path, plan: dict[str, Any], **more: Any) -> Fault:
    with pytest.raises(Fault) as caught:
        await render(worker, folder, plan, **more)
    return caught.value


def lives(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in ("Z", "X")
