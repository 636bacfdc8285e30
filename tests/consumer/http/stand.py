"""What gateway tests stand on: the app in uvicorn, and the service's work behind real topics.

`service` is the subscriber's part in its simplest form: it reads the topics and hands jobs to the
real processor (with renders without a picture) and the real publisher. Offsets, rebalances and
retries are tested elsewhere.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx2
import uvicorn

from consumer.http.gateway import make_app
from consumer.jobs import Job, JobProcessor, Record
from consumer.kafka.admission import admit
from consumer.kafka.client import connection
from consumer.kafka.delivery import to_record
from consumer.kafka.listening import Listening
from consumer.kafka.publisher import Publisher
from consumer.processing import open_processor
from consumer.settings import Settings
from schemas.events import Control
from tests.support.null_render import RENDERER


@dataclass
class Gateway:
    """A running gateway."""

    url: str
    http: httpx2.AsyncClient


@asynccontextmanager
async def gateway(settings: Settings, **headers: str) -> AsyncIterator[Gateway]:
    """The app on a free port of loopback, listening to its topics."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        config = uvicorn.Config(
            make_app(settings), log_config=None, lifespan="on", timeout_graceful_shutdown=2
        )
        server = uvicorn.Server(config)
        task = asyncio.create_task(server.serve([listener]))
        try:
            async with httpx2.AsyncClient(
                base_url=url, headers=headers, timeout=120, trust_env=False
            ) as http:
                await _until_ready(http)
                yield Gateway(url, http)
        finally:
            server.should_exit = True
            await task


async def _until_ready(http: httpx2.AsyncClient) -> None:
    async with asyncio.timeout(120):
        while True:
            with contextlib.suppress(httpx2.ConnectError):
                if (await http.get("/health")).json()["listening"]:
                    return
            await asyncio.sleep(0.05)


@asynccontextmanager
async def service(settings: Settings, renderer: str = RENDERER) -> AsyncIterator[None]:
    """The work behind the topics, in this process; renders are made by a real worker child."""
    publisher = Publisher(settings)
    topics = settings.topics
    listener = Listening(**connection(settings))
    await listener.consumer.start()
    await publisher.start()
    try:
        await listener.begin((topics.requests, topics.control))
        async with open_processor(settings, publisher, renderer=renderer) as work:
            intake = _Intake(listener, topics.control, work.processor)
            taking = asyncio.create_task(intake.run())
            try:
                yield
            finally:
                taking.cancel()
                await asyncio.gather(taking, return_exceptions=True)
                await intake.stop()
    finally:
        await listener.consumer.stop()
        await publisher.stop()


class _Intake:
    """Hands each request to the processor, and each cancel to its job."""

    def __init__(self, listener: Listening, control: str, processor: JobProcessor) -> None:
        self._listener = listener
        self._control = control
        self._processor = processor
        self._jobs: dict[str, Job] = {}
        self._tasks: set[asyncio.Task[object]] = set()

    async def run(self) -> None:
        while True:
            for raw in await self._listener.next(500):
                if raw.topic == self._control:
                    self._cancel(Control.model_validate_json(raw.value or b""))
                else:
                    self._begin(to_record(raw))

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _begin(self, record: Record) -> None:
        job = admit(record)
        assert isinstance(job, Job), job
        self._jobs[job.job_id] = job
        self._tasks.add(asyncio.create_task(self._processor.process(job)))

    def _cancel(self, control: Control) -> None:
        if control.job_id in self._jobs:
            self._jobs[control.job_id].cancelled.set()
