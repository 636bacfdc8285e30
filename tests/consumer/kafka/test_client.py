"""The client sends what the contract says and hears all that follows, from the first event on."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from consumer.kafka import client, listening
from consumer.kafka.client import Event, connect, connection
from consumer.kafka.connecting import ClientFailed
from consumer.local import round_trip
from consumer.local.console import CommandError
from consumer.settings import Settings
from consumer.settings.load import load
from schemas.request import RenderRequest
from tests.support.capabilities import Can
from tests.support.handles import KafkaHandle
from tests.support.kafka import ApacheKafka
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
    async with connect(settings) as ours:
        job_id = await ours.submit(REQUEST)
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
    async with connect(settings) as ours:
        await ours.submit(REQUEST.model_copy(update={"job_id": "j"}))
        await _send(
            kafka.servers,
            (topics.progress, b"not json"),
            (topics.progress, b'{"job_id": "other", "percent": 50}'),
            (topics.progress, b'{"job_id": "j", "percent": 50, "later_field": 1}'),
        )
        seen: list[Event] = []
        async with asyncio.timeout(120):
            async for event in ours.events("j"):
                seen.append(event)
                if event.kind == "progress":
                    await _send(kafka.servers, (topics.completed, b'{"job_id": "j"}'))
    assert [(e.kind, e.data.get("percent")) for e in seen] == [
        ("progress", 50),
        ("completed", None),
    ]
    assert seen[0].headers == {"ce_id": "e-1"}


@pytest.mark.chaos
async def test_brokers_that_hang_are_said_before_and_after_a_request_is_sent(
    own_kafka: ApacheKafka, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """To send took forty seconds, and who waited for an outcome was told nothing for hours."""
    monkeypatch.setattr(client, "SEND_S", 0.5)
    monkeypatch.setattr(round_trip, "QUIET_S", 0.1)
    kafka = KafkaHandle.fresh(own_kafka)
    kafka.create_topics()
    async with connect(load(kafka.env)) as ours:
        assert await ours.why_silent() is None
        monkeypatch.setattr(listening, "ASKED_S", 0.5)
        os.kill(own_kafka.process.pid, signal.SIGSTOP)
        try:
            assert await ours.why_silent() == "the brokers do not answer: TimeoutError"
            with pytest.raises(ClientFailed, match="job 'j', it is not rendered twice"):
                await ours.submit(REQUEST.model_copy(update={"job_id": "j"}))
            with pytest.raises(CommandError):
                await round_trip.follow(ours, "j", 5.0, lambda _: None)
            said = "the brokers do not answer: TimeoutError; waiting on"
            assert capsys.readouterr().err.count(said) == 1
        finally:
            os.kill(own_kafka.process.pid, signal.SIGCONT)


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
