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
from aiokafka import AIOKafkaConsumer

from consumer.http.gateway import make_app
from consumer.jobs import Job, Record
from consumer.kafka.admission import admit
from consumer.kafka.client import connection, listen_from_now
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
    listener = AIOKafkaConsumer(
        topics.requests, topics.control, **connection(settings), group_id=None
    )
    await listener.start()
    await publisher.start()
    try:
        await listen_from_now(listener, (topics.requests, topics.control))
        async with open_processor(settings, publisher, renderer=renderer) as work:
            running: dict[str, Job] = {}
            tasks: set[asyncio.Task[object]] = set()

            async def take() -> None:
                while True:
                    raw = await listener.getone()
                    if raw.topic == topics.control:
                        control = Control.model_validate_json(raw.value or b"")
                        if control.job_id in running:
                            running[control.job_id].cancelled.set()
                        continue
                    headers = tuple((name, value or b"") for name, value in raw.headers)
                    record = Record(
                        raw.topic,
                        raw.partition,
                        raw.offset,
                        raw.key,
                        raw.value,
                        headers,
                        raw.timestamp,
                    )
                    job = admit(record)
                    assert isinstance(job, Job), job
                    running[job.job_id] = job
                    tasks.add(asyncio.create_task(work.processor.process(job)))

            taking = asyncio.create_task(take())
            try:
                yield
            finally:
                for task in (taking, *tasks):
                    task.cancel()
                await asyncio.gather(taking, *tasks, return_exceptions=True)
    finally:
        await listener.stop()
        await publisher.stop()
