"""The client sends what the contract says and hears all that follows, from the first event on."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from consumer.kafka.client import Event, connect, connection
from consumer.kafka.connecting import ClientFailed
from consumer.settings import Settings
from consumer.settings.load import load
from schemas.request import RenderRequest
from tests.support.capabilities import Can
from tests.support.handles import KafkaHandle
from tests.support.processes import free_port

REQUEST = RenderRequest(audio_url="s3://bucket/a.wav", video_url="s3://bucket/v.mp4")


@pytest.fixture
def settings(kafka: KafkaHandle) -> Settings:
    kafka.create_topics()
    return load(kafka.env)


async def _first(servers: str, topic: str) -> Any:
    consumer = AIOKafkaConsumer(topic, bootstrap_servers=servers, auto_offset_reset="earliest")
    await consumer.start()
    try:
        return await asyncio.wait_for(consumer.getone(), 120)
    finally:
        await consumer.stop()


async def _send(servers: str, *messages: tuple[str, bytes]) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=servers)
    await producer.start()
    try:
        for topic, value in messages:
            await producer.send_and_wait(topic, value, headers=[("ce_id", b"e-1")])
    finally:
        await producer.stop()


async def test_the_minimal_request_is_two_locations_and_a_key(
    kafka: KafkaHandle, settings: Settings
) -> None:
    async with connect(settings) as client:
        job_id = await client.submit(REQUEST)
    record = await _first(kafka.servers, kafka.topics.requests)
    assert json.loads(record.value) == {
        "audio_url": "s3://bucket/a.wav",
        "video_url": "s3://bucket/v.mp4",
    }
    assert record.key == job_id.encode()
    headers = dict(record.headers)
    assert headers["ce_id"] == job_id.encode()
    assert headers["ce_type"] == b"com.face2face.request.v1"


async def test_events_of_the_job_come_in_order_and_end_with_the_outcome(
    kafka: KafkaHandle, settings: Settings
) -> None:
    topics = kafka.topics
    await _send(kafka.servers, (topics.progress, b'{"job_id": "j", "percent": 1}'))
    async with connect(settings) as client:
        await client.submit(REQUEST.model_copy(update={"job_id": "j"}))
        await _send(
            kafka.servers,
            (topics.progress, b"not json"),
            (topics.progress, b'{"job_id": "other", "percent": 50}'),
            (topics.progress, b'{"job_id": "j", "percent": 50, "later_field": 1}'),
        )
        seen: list[Event] = []
        async for event in client.events("j", 120):
            seen.append(event)
            if event.kind == "progress":
                await _send(kafka.servers, (topics.completed, b'{"job_id": "j"}'))
    assert [(e.kind, e.data.get("percent")) for e in seen] == [
        ("progress", 50),
        ("completed", None),
    ]
    assert seen[0].headers == {"ce_id": "e-1"}


async def test_waiting_ends_when_no_outcome_comes(settings: Settings) -> None:
    async with connect(settings) as client:
        with pytest.raises(TimeoutError):
            async for _ in client.events("nobody", 0.3):
                pass


async def test_missing_topics_are_named_at_once_and_no_broker_is_blamed(
    kafka: KafkaHandle,
) -> None:
    kafka.require(Can.ADMIN)
    kafka.create_topics(dict.fromkeys(set(kafka.topics.all()) - {kafka.topics.failed}, 1))
    with pytest.raises(ClientFailed) as refused:
        async with connect(load(kafka.env)):
            pass
    assert str(refused.value) == (
        f"topics {kafka.topics.failed} are not there; run `face2face topics apply`"
    )


async def test_no_broker_is_said_with_its_address() -> None:
    address = f"127.0.0.1:{free_port()}"
    with pytest.raises(ClientFailed, match=address):
        async with connect(load({"KAFKA_BOOTSTRAP_SERVERS": address})):
            pass


def test_credentials_reach_the_connection_and_no_text() -> None:
    settings = load(
        {
            "KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
            "KAFKA_SASL_USERNAME": "app",
            "KAFKA_SASL_PASSWORD": "hunter2",
        }
    )
    options = connection(settings)
    assert options["sasl_plain_password"] == "hunter2"
    assert options["ssl_context"].verify_mode.name == "CERT_REQUIRED"
    assert "hunter2" not in repr(settings)
