"""The gateway says how it is, what it serves, and outlives its brokers and its callers."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from consumer.http import gateway_lookup, gateway_requests
from consumer.settings import Settings
from consumer.settings.load import load
from tests.consumer.http.calls import locations, until_running
from tests.consumer.http.stand import Gateway, gateway, service
from tests.support.handles import KafkaHandle, S3Handle
from tests.support.kafka import ApacheKafka


async def test_a_method_that_is_not_served_is_answered_with_those_that_are(alone: Gateway) -> None:
    for method, path, allowed in (
        ("GET", "/api/generate_video", "POST"),
        ("PUT", "/v1/jobs", "POST"),
        ("POST", "/health", "GET, HEAD"),
        ("PUT", "/v1/jobs/x", "DELETE, GET, HEAD"),
        ("DELETE", "/", "GET, HEAD"),
    ):
        answer = await alone.http.request(method, path)
        assert (answer.status_code, answer.headers["allow"]) == (405, allowed)


async def test_probes_may_ask_by_head(alone: Gateway) -> None:
    for path in ("/livez", "/health", "/metrics", "/", "/openapi.json"):
        answer = await alone.http.head(path)
        assert (answer.status_code, answer.content) == (200, b"")
    assert (await alone.http.head("/v1/jobs/x")).status_code == 404


async def test_no_caller_is_led_to_another_address(alone: Gateway) -> None:
    """Behind a proxy that ends TLS it would be one without TLS, and the key went there."""
    assert (await alone.http.post("/v1/jobs/", json={})).status_code == 404


async def test_a_caller_that_goes_within_its_body_is_no_defect(
    alone: Gateway, caplog: pytest.LogCaptureFixture
) -> None:
    host, port = alone.url.removeprefix("http://").split(":")
    for path in ("/api/generate_video", "/v1/jobs"):
        _, writer = await asyncio.open_connection(host, int(port))
        head = f"POST {path} HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Length: 100\r\n\r\n"
        writer.write(head.encode() + b'{"a')
        await writer.drain()
        writer.close()
        await writer.wait_closed()
    async with asyncio.timeout(120):
        while (await _calls(alone, "0")) < 2:  # both are over
            await asyncio.sleep(0.05)
    assert "ASGI" not in caplog.text


async def _calls(made: Gateway, status: str) -> float:
    """Calls of POST that ended with a status; 0 is none."""
    text = (await made.http.get("/metrics")).text
    lines = [line for line in text.splitlines() if f'status="{status}"' in line]
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines if 'method="POST"' in line)


async def test_health_keeps_the_old_keys(alone: Gateway, settings: Settings) -> None:
    async with asyncio.timeout(120):  # an answer is kept for a moment, so that probes are cheap
        while (await alone.http.get("/readyz")).status_code != 200:
            await asyncio.sleep(0.1)
    facts = (await alone.http.get("/health")).json()
    assert facts["status"] == "healthy"
    assert facts["data_dir"] == str(settings.data_dir)
    assert facts["data_dir_exists"] is True
    assert facts["timestamp"]
    assert (await alone.http.get("/livez")).status_code == 200


async def test_it_is_not_ready_without_its_store(settings: Settings) -> None:
    lost = settings.model_copy(update={"s3_endpoint": "http://127.0.0.1:1"})
    async with gateway(lost) as made:
        answer = await made.http.get("/readyz")
        assert answer.status_code == 503
        assert "store" in answer.json()
        assert (await made.http.get("/livez")).status_code == 200
        body = {"audio_url": "s3://bucket/a", "video_url": "s3://bucket/v"}
        sent = await made.http.post("/v1/jobs", json=body)
        assert (sent.status_code, sent.json()["code"]) == (503, "STORE_UNAVAILABLE")


@pytest.mark.chaos
async def test_while_the_brokers_are_gone_it_says_so_and_afterwards_nothing_is_lost(
    own_kafka: ApacheKafka,
    s3: S3Handle,
    service_env: dict[str, str],
    tmp_path: Path,
    monkeypatch: Any,
) -> None:
    monkeypatch.setattr(gateway_lookup, "LOOK_S", 0.5)
    env = {**service_env, "KAFKA_BOOTSTRAP_SERVERS": own_kafka.servers, "F2F_TOPIC_PREFIX": "own"}
    KafkaHandle("own", own_kafka.servers, own_kafka.capabilities, "own").create_topics()
    settings = load({**env, "F2F_MIN_FREE_BYTES": "0"})
    gate = tmp_path / "gate"
    body = {**locations(s3, {"gate": str(gate)}), "job_id": "through-an-outage"}
    async with service(settings), gateway(settings) as made:
        waiting = asyncio.create_task(made.http.post("/api/generate_video", json=body))
        async with asyncio.timeout(120):
            while (await made.http.get("/v1/jobs/through-an-outage")).status_code != 200:
                await asyncio.sleep(0.05)
        await until_running(made, "through-an-outage")
        own_kafka.kill()
        monkeypatch.setattr(gateway_requests, "SEND_S", 2.0)
        refused = await made.http.post("/v1/jobs", json={**locations(s3), "job_id": "in-between"})
        assert (refused.status_code, refused.json()["code"]) == (503, "BROKER_UNAVAILABLE")
        assert refused.json()["extra"] == {"job_id": "in-between"}
        assert (await made.http.get("/livez")).status_code == 200
        # The outcome cannot be heard, and is found in the store.
        gate.touch()
        answer = await waiting
        assert answer.json()["success"] is True
        monkeypatch.setattr(gateway_requests, "SEND_S", 60.0)
        own_kafka.start()
        async with asyncio.timeout(120):
            while (await made.http.get("/readyz")).status_code != 200:
                await asyncio.sleep(0.2)
        again = await made.http.post("/v1/jobs", json={**locations(s3), "job_id": "in-between"})
        assert again.status_code == 202


async def test_metrics_count_calls_by_route_and_never_by_path(alone: Gateway) -> None:
    await alone.http.get("/v1/jobs/some-job")
    await alone.http.get("/v1/typo/some-job")
    text = (await alone.http.get("/metrics")).text
    assert 'route="/v1/jobs/{job_id}",status="404"' in text.replace('method="GET",', "")
    assert "some-job" not in text
    assert "face2face_group_member" not in text
    assert "face2face_log_lines_dropped_total" in text, "its log may hang, too"


async def test_the_document_names_every_route(alone: Gateway) -> None:
    document = (await alone.http.get("/openapi.json")).json()
    assert {
        "/api/generate_video",
        "/v1/jobs",
        "/v1/jobs/{job_id}",
        "/v1/jobs/{job_id}/events",
        "/v1/jobs/{job_id}/result",
        "/health",
    } <= set(document["paths"])
    body = document["paths"]["/v1/jobs"]["post"]["requestBody"]["content"]
    assert set(body) == {"application/json", "multipart/form-data"}
    refs = json.dumps(document)
    for part in refs.split('"$ref": "#/')[1:]:
        found: Any = document
        for step in part.split('"')[0].split("/"):
            found = found[step]
