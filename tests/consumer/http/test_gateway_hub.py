"""What is heard on the topics reaches those who listen, whatever else lies there."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import pytest
from aiokafka import AIOKafkaProducer
from structlog.testing import capture_logs

from consumer.faults import Fault
from consumer.http import gateway_hub
from consumer.http.gateway_health import LIVE_S
from consumer.http.gateway_hub import Hub
from consumer.kafka import connecting
from consumer.kafka.client import connection
from consumer.kafka.listening import LISTEN_TIMEOUT_S
from consumer.settings import Settings
from schemas.codes import ErrorCode, Stage
from schemas.events import Failed
from tests.consumer.http.calls import events, locations
from tests.consumer.http.stand import Gateway, gateway
from tests.integration.lab import break_fetching
from tests.support.handles import KafkaHandle, S3Handle
from tests.support.processes import free_port

GOLDEN = Path(__file__).parents[2] / "contract" / "golden" / "v1"


async def test_a_reader_of_events_that_has_the_outcome_is_told_to_connect_no_more(
    bridge: Gateway, s3: S3Handle, settings: Settings
) -> None:
    """Readers connect again whenever a stream ends, every two seconds and for ever."""
    for job_id, plan in (("well", {}), ("badly", {"error": "NoFace"})):
        body = {**locations(s3, plan, f"{job_id}.wav"), "job_id": job_id}
        await bridge.http.post("/v1/jobs", json=body)
        await events(bridge, job_id)
        async with gateway(settings) as later:  # which heard nothing of it
            told = [await made.http.get(f"/v1/jobs/{job_id}/events") for made in (bridge, later)]
            ids = [line for one in told for line in one.text.splitlines() if line[:3] == "id:"]
            assert len(ids) == 2
            assert ids[0] == ids[1]
            path, had = f"/v1/jobs/{job_id}/events", {"Last-Event-ID": ids[0].removeprefix("id: ")}
            for made in (bridge, later):
                assert (await made.http.get(path, headers=had)).status_code == 204
                another = {"Last-Event-ID": "another"}
                assert (await made.http.get(path, headers=another)).status_code == 200


async def test_events_that_echo_large_requests_do_not_fill_the_gateways_memory(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ten thousand were kept whatever their size: ten gigabytes of somebody's consent."""
    failed = json.loads((GOLDEN / "failed.full.json").read_text(encoding="utf-8"))
    monkeypatch.setattr(gateway_hub, "REMEMBERED_BYTES", 50_000)
    hub = Hub(settings)

    def hear(job_id: str, letters: int) -> None:
        said = {**failed, "job_id": job_id, "consent": {"text": "x" * letters}}
        value = json.dumps(said).encode()
        hub._hear(SimpleNamespace(topic=settings.topics.failed, value=value, headers=[]))

    with hub.watch("job-0") as queue:
        for number in range(20):
            hear(f"job-{number}", 10_000)
        for _ in range(20):
            hear("small", 10)
    known = [n for n in range(20) if hub.last(f"job-{n}") is not None]
    assert known == [16, 17, 18, 19], "the last that fit"
    assert hub.last("small") is not None, "said again it takes no more room"
    assert queue.qsize() == 1, "who waits for a job hears of it all the same"


async def test_progress_is_heard_before_the_outcome(
    bridge: Gateway, s3: S3Handle, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    body = {**locations(s3, {"gate": str(gate)}), "job_id": "slow"}
    await bridge.http.post("/v1/jobs", json=body)
    told = await events(bridge, "slow", gate.touch)
    assert [kind for kind, _ in told].count("progress") >= 1
    assert told[-1][0] == "completed"


async def test_records_of_any_depth_on_the_topics_of_events_leave_it_hearing(
    alone: Gateway, kafka: KafkaHandle, settings: Settings
) -> None:
    """One such record ended the task that listens, and nobody heard of any job any more."""
    topics = settings.topics
    failed = Failed(
        job_id="heard",
        error=Fault.of(ErrorCode.NO_FACE, Stage.PROBE, "no face").error,
        attempt=1,
        max_attempts=3,
        failed_at=datetime.now(UTC),
    )
    lone = failed.model_dump_json().replace("no face", "\\ud800").encode()
    huge = failed.model_dump_json().replace('"attempt":1', '"attempt":1e999999999').encode()
    bad = [b"[" * 200_000, b'{"job_id":' * 100_000, b"\xff", b"9" * 10_000, lone, huge]
    async with AIOKafkaProducer(**connection(settings)) as producer:
        for topic in (topics.progress, topics.completed, topics.failed):
            for value in bad:
                await producer.send_and_wait(topic, value, partition=0)
        data = failed.model_dump_json().encode()
        await producer.send_and_wait(topics.failed, data, partition=0)
    async with asyncio.timeout(120):
        while (answer := await alone.http.get("/v1/jobs/heard")).status_code == 404:
            await asyncio.sleep(0.05)
    assert answer.json()["failed"]["error"]["code"] == "NO_FACE"


async def test_a_broker_that_hangs_makes_it_deaf_and_not_dead(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To connect took longer than its loop may stand still, so that it was ended and begun anew."""
    assert max(LISTEN_TIMEOUT_S, connecting.CONNECT_S) < LIVE_S
    monkeypatch.setattr(connecting, "CONNECT_S", 0.2)

    async def silent(reader: asyncio.StreamReader, answer: asyncio.StreamWriter) -> None:
        await reader.read()
        answer.close()

    async with await asyncio.start_server(silent, "127.0.0.1", 0) as broker, asyncio.timeout(120):
        host, port = broker.sockets[0].getsockname()
        hub = Hub(settings.model_copy(update={"kafka_servers": (f"{host}:{port}",)}))
        listening = asyncio.create_task(hub.run())
        while "no broker answers at" not in hub.trouble:
            await asyncio.sleep(0.05)
        turned = hub.last_poll
        while hub.last_poll == turned:
            await asyncio.sleep(0.05)
        listening.cancel()
        await asyncio.wait((listening,))


async def test_brokers_that_are_away_are_told_once_with_the_reason(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The client wrote a line for each try, one a second for as long as an outage lasted."""
    monkeypatch.setattr(gateway_hub, "PAUSE_S", 0.0)
    nowhere = tuple(f"127.0.0.1:{free_port()}" for _ in range(3))  # asked in any order
    hub = Hub(settings.model_copy(update={"kafka_servers": nowhere}))
    tried = set[float]()
    with capture_logs() as said:
        listening = asyncio.create_task(hub.run())
        async with asyncio.timeout(120):
            while len(tried) < 10:
                tried.add(hub.last_poll)
                await asyncio.sleep(0)
        listening.cancel()
        await asyncio.wait((listening,))
    assert [line["event"] for line in said] == ["gateway does not hear the brokers"]
    assert ", ".join(nowhere) in said[0]["error"]
    assert "Connect call failed" in said[0]["error"]
    assert "Unable connect" not in caplog.text


async def test_a_gateway_hears_on_after_its_client_broke(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was called well and deaf, as its polls brought nothing and said nothing."""
    monkeypatch.setattr(gateway_hub, "PAUSE_S", 0.1)
    hub = Hub(settings)
    listening = asyncio.create_task(hub.run())
    async with asyncio.timeout(120):
        assert await hub.wait_connected(120)
        broken = hub._listener
        assert broken is not None
        break_fetching(broken.consumer)
        async with AIOKafkaProducer(**connection(settings)) as producer:
            await producer.send_and_wait(settings.topics.progress, b"{}", partition=0)
        while hub._listener in (None, broken):
            await asyncio.sleep(0.05)
    listening.cancel()
    await asyncio.wait((listening,))
