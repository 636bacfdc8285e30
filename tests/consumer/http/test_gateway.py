"""The gateway answers as it promises, over a real broker, a real store and a real worker child."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx2
import pytest
from aiokafka import AIOKafkaProducer

from consumer.client import connection
from consumer.faults import Fault
from consumer.http import gateway_book, gateway_intake
from consumer.settings import Settings
from consumer.settings_load import load
from schemas.codes import ErrorCode, Stage
from schemas.events import Failed
from schemas.http import JobView
from tests.consumer.http.stand import Gateway, gateway, service
from tests.consumer.web import MP4, WAV, reply, web
from tests.support.capabilities import Can
from tests.support.handles import KafkaHandle, S3Handle
from tests.support.kafka import ApacheKafka
from tests.support.null_render import output_bytes
from tests.support.work import put_inputs


@pytest.fixture
def settings(kafka: KafkaHandle, s3: S3Handle, service_env: dict[str, str]) -> Settings:
    kafka.create_topics()
    return load(
        {
            **service_env,
            "F2F_ALLOW_LOOPBACK_INPUTS": "1",
            "F2F_MAX_INPUT_BYTES": "2000000",
            "CLEANUP_DELAY": "0",
            "F2F_MIN_FREE_BYTES": "0",
        }
    )


@pytest.fixture
async def bridge(settings: Settings) -> AsyncIterator[Gateway]:
    """A gateway with the service behind it."""
    async with service(settings), gateway(settings) as made:
        yield made


@pytest.fixture
async def alone(settings: Settings) -> AsyncIterator[Gateway]:
    """A gateway without a service: what is sent stays queued."""
    async with gateway(settings) as made:
        yield made


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


# --- the old call


async def test_the_old_client_works_as_it_stands(bridge: Gateway, s3: S3Handle) -> None:
    import requests

    body = locations(s3)

    def call() -> Any:
        return requests.post(f"{bridge.url}/api/generate_video", json=body, timeout=120).json()

    result = await asyncio.to_thread(call)
    assert list(result) == ["success", "video_data", "size", "format"]
    video = base64.b64decode(result["video_data"])
    assert (result["success"], result["size"], result["format"]) == (True, len(video), "mp4")
    speech = s3.client().get_object(s3.bucket, "inputs/a.wav").read()
    assert video == output_bytes(speech, b"a reference that nobody decodes")


@pytest.mark.parametrize("size", [1, 2, 3, 786_432, 786_433, 1_600_001])
async def test_a_video_of_any_size_comes_whole(
    size: int, bridge: Gateway, s3: S3Handle, settings: Settings
) -> None:
    body = locations(s3, {"size": size})
    answer = await bridge.http.post("/api/generate_video", json=body)
    result = answer.json()
    assert len(base64.b64decode(result["video_data"], validate=True)) == result["size"] == size
    assert int(answer.headers["content-length"]) == len(answer.content)


async def test_web_locations_are_fetched_into_the_bucket(
    bridge: Gateway, s3: S3Handle, settings: Settings
) -> None:
    async with web() as site:
        site.answers |= {"/a.wav": reply("200 OK", WAV), "/v.mp4": reply("200 OK", MP4)}
        base = f"http://127.0.0.1:{site.port}"
        body = {"audio_url": f"{base}/a.wav?sig=secret", "video_url": f"{base}/v.mp4"}
        result = (await bridge.http.post("/api/generate_video", json=body)).json()
    assert base64.b64decode(result["video_data"]) == output_bytes(WAV, MP4)
    keys = s3.keys("inputs/")
    assert f"inputs/{hashlib.sha256(WAV).hexdigest()}.wav" in keys
    assert f"inputs/{hashlib.sha256(MP4).hexdigest()}.mp4" in keys
    assert scratch_is_empty(settings)


@pytest.mark.parametrize(
    ("body", "status", "says"),
    [
        ({}, 422, "audio_url"),
        ({"audio_url": "s3://bucket/a.wav"}, 422, "video_url"),
        ({"audio_url": 5, "video_url": "s3://bucket/v"}, 422, "audio_url"),
        ({"audio_url": "/etc/passwd", "video_url": "s3://bucket/v"}, 422, "s3://"),
        ([], 422, "object"),
        ("text", 422, "object"),
        (
            {"audio_url": "https://cdn.example/a.wav", "video_url": "s3://bucket/v"},
            200,
            "F2F_ALLOWED_HOSTS",
        ),
        (
            {"audio_url": "http://169.254.169.254/a", "video_url": "s3://bucket/v"},
            200,
            "https",
        ),
    ],
)
async def test_a_call_that_cannot_work_fails_in_the_old_shape(
    body: Any, status: int, says: str, alone: Gateway
) -> None:
    answer = await alone.http.post("/api/generate_video", json=body)
    assert answer.status_code == status
    assert list(answer.json()) == ["success", "error"]
    assert answer.json()["success"] is False
    assert says in answer.json()["error"]


async def test_a_job_that_fails_says_why_in_the_old_shape(bridge: Gateway, s3: S3Handle) -> None:
    body = locations(s3, {"error": "NoFace"})
    answer = await bridge.http.post("/api/generate_video", json=body)
    assert answer.status_code == 200
    assert answer.json()["success"] is False
    assert "as the test asked" in answer.json()["error"]
    assert answer.headers["x-face2face-code"] == "NO_FACE"


async def test_a_job_that_takes_too_long_ends_with_an_answer(
    settings: Settings, s3: S3Handle
) -> None:
    hurried = settings.model_copy(update={"gateway_timeout_s": 1.0})
    async with service(hurried), gateway(hurried) as made:
        body = locations(s3, {"sleep": 600})
        answer = await made.http.post("/api/generate_video", json=body)
    assert answer.json()["success"] is False
    assert answer.headers["x-face2face-code"] == "DEADLINE_EXCEEDED"


# --- /v1/jobs


async def test_a_job_is_accepted_followed_and_fetched(bridge: Gateway, s3: S3Handle) -> None:
    body = {**locations(s3, {"sleep": 1.2}), "job_id": "order-1", "metadata": {"who": "me"}}
    answer = await bridge.http.post("/v1/jobs", json=body)
    assert answer.status_code == 202
    assert answer.headers["location"] == "/v1/jobs/order-1"
    assert JobView.model_validate(answer.json()).state == "queued"
    told = await events(bridge, "order-1")
    kinds = [kind for kind, _ in told]
    assert kinds[-1] == "completed"
    assert set(kinds[:-1]) <= {"progress"}
    assert told[-1][1]["metadata"] == {"who": "me"}

    view = JobView.model_validate((await bridge.http.get("/v1/jobs/order-1")).json())
    assert view.state == "completed"
    assert view.completed is not None
    result = await bridge.http.get("/v1/jobs/order-1/result")
    assert result.status_code == 307
    async with httpx2.AsyncClient(timeout=120, trust_env=False) as store:
        video = await store.get(result.headers["location"])
    assert hashlib.sha256(video.content).hexdigest() == view.completed.output.sha256


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


async def test_progress_is_heard_before_the_outcome(
    bridge: Gateway, s3: S3Handle, tmp_path: Path
) -> None:
    gate = tmp_path / "gate"
    body = {**locations(s3, {"gate": str(gate)}), "job_id": "slow"}
    await bridge.http.post("/v1/jobs", json=body)
    told = await events(bridge, "slow", gate.touch)
    assert [kind for kind, _ in told].count("progress") >= 1
    assert told[-1][0] == "completed"


async def test_files_are_uploaded_and_rendered(
    bridge: Gateway, s3: S3Handle, settings: Settings
) -> None:
    answer = await bridge.http.post(
        "/v1/jobs",
        files={"audio": ("my speech.WAV", WAV), "video": ("face.mp4", MP4)},
        data={"request": json.dumps({"job_id": "up-1", "options": {"loop": "hold"}})},
    )
    assert answer.status_code == 202, answer.text
    assert (await events(bridge, "up-1"))[-1][0] == "completed"
    completed = (await bridge.http.get("/v1/jobs/up-1")).json()["completed"]
    assert completed["inputs"]["audio"]["sha256"] == hashlib.sha256(WAV).hexdigest()
    assert completed["inputs"]["audio"]["url"].endswith(".wav")
    assert completed["inputs"]["video"]["size"] == len(MP4)
    assert scratch_is_empty(settings)


async def test_a_failed_job_has_no_result(bridge: Gateway, s3: S3Handle) -> None:
    body = {**locations(s3, {"error": "NoFace"}), "job_id": "no-face"}
    await bridge.http.post("/v1/jobs", json=body)
    kind, data = (await events(bridge, "no-face"))[-1]
    assert (kind, data["error"]["code"]) == ("failed", "NO_FACE")
    answer = await bridge.http.get("/v1/jobs/no-face/result")
    assert answer.status_code == 409
    assert answer.json()["code"] == "NO_RESULT"
    assert answer.headers["content-type"] == "application/problem+json"


async def test_a_job_is_cancelled(bridge: Gateway, s3: S3Handle) -> None:
    body = {**locations(s3, {"sleep": 600}), "job_id": "stop-me"}
    await bridge.http.post("/v1/jobs", json=body)
    await until_running(bridge, "stop-me")
    following = asyncio.create_task(events(bridge, "stop-me"))
    assert (await bridge.http.delete("/v1/jobs/stop-me")).status_code == 202
    kind, data = (await following)[-1]
    assert (kind, data["error"]["code"]) == ("failed", "CANCELLED")


async def test_an_unknown_job_is_not_found(alone: Gateway) -> None:
    for method, path in (
        ("GET", "/v1/jobs/nobody"),
        ("GET", "/v1/jobs/nobody/events"),
        ("GET", "/v1/jobs/nobody/result"),
        ("DELETE", "/v1/jobs/nobody"),
    ):
        answer = await alone.http.request(method, path)
        assert answer.status_code == 404, path
        assert answer.json()["code"] == "JOB_NOT_FOUND"
        assert answer.json()["advice"]


async def test_the_same_request_again_is_the_same_job(bridge: Gateway, s3: S3Handle) -> None:
    log = s3.bucket
    body = {**locations(s3, {"size": 100}), "job_id": "twice"}
    first = (await bridge.http.post("/api/generate_video", json=body)).json()
    again = (await bridge.http.post("/api/generate_video", json=body)).json()
    assert first == again
    assert len(s3.keys("results/twice/")) == 2, log


async def test_a_job_id_of_another_request_is_refused(alone: Gateway, s3: S3Handle) -> None:
    body = {**locations(s3), "job_id": "mine"}
    assert (await alone.http.post("/v1/jobs", json=body)).status_code == 202
    other = {**body, "options": {"crf": 30}}
    answer = await alone.http.post("/v1/jobs", json=other)
    assert (answer.status_code, answer.json()["code"]) == (409, "JOB_CONFLICT")


async def test_any_replica_answers_for_a_job_and_so_does_one_that_was_not_there(
    settings: Settings, s3: S3Handle
) -> None:
    body = {**locations(s3), "job_id": "shared", "output": {"prefix": "tenant-7/"}}
    async with gateway(settings) as first:
        await first.http.post("/v1/jobs", json=body)
        async with gateway(settings) as second:
            assert (await second.http.get("/v1/jobs/shared")).json()["state"] == "queued"
    async with service(settings), gateway(settings) as made:
        # The listener began after the record, so the record is sent once more.
        await made.http.post("/v1/jobs", json=body)
        assert (await events(made, "shared"))[-1][0] == "completed"
        odd = {  # none of their outcomes lies where the request says
            "...": {},
            "no-bucket": {"bucket": "no-such-bucket-here", "prefix": "mine/"},
            "no-name": {"prefix": "s" * 300},
        }
        for name, output in odd.items():
            await made.http.post("/v1/jobs", json=body | {"job_id": name, "output": output})
            await events(made, name)
    async with gateway(settings) as later:
        views = [(await later.http.get(f"/v1/jobs/{name}")).json() for name in odd]
        # the embedded store takes names of any length
        long_name = "failed" if Can.SIGNATURES in s3.capabilities else "completed"
        assert [view["state"] for view in views] == ["completed", "failed", long_name]
        view = (await later.http.get("/v1/jobs/shared")).json()
        assert view["state"] == "completed"
        assert view["completed"]["output"]["key"].startswith("tenant-7/results/shared/")
        assert "download_url" in view["completed"]
        assert (await events(later, "shared"))[-1][0] == "completed"
        again = (await later.http.post("/api/generate_video", json=body)).json
    assert again is not None


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


@pytest.mark.parametrize(
    ("files", "data", "code"),
    [
        ({"audio": ("a.wav", WAV)}, {}, "INVALID_REQUEST"),
        ({"audio": ("a.wav", WAV), "video": ("v.mp4", b"")}, {}, "INPUT_UNREADABLE"),
        ({"audio": ("a.wav", b"<html>"), "video": ("v.mp4", MP4)}, {}, "INPUT_UNREADABLE"),
        (
            {"audio": ("a.wav", WAV), "video": ("v.mp4", MP4), "x": ("x", b"x")},
            {},
            "INVALID_REQUEST",
        ),
        (
            {"audio": ("a.wav", WAV), "video": ("v.mp4", MP4)},
            {"request": "{"},
            "INVALID_REQUEST",
        ),
        (
            {"audio": ("a.wav", WAV), "video": ("v.mp4", MP4)},
            {"request": '{"job_id": "../../etc"}'},
            "INVALID_REQUEST",
        ),
        (
            {"audio": ("a.wav", WAV), "video": ("v.mp4", MP4)},
            {"request": '{"job_id": "one", "job_id": "two"}'},
            "INVALID_REQUEST",
        ),
        (
            {"audio": ("a.wav", WAV), "video": ("v.mp4", MP4)},
            {"request": " " * 70_000},
            "INVALID_REQUEST",
        ),
        (
            {"audio": ("a.wav", WAV), "video": ("v.mp4", MP4 + bytes(2_000_000))},
            {},
            "INPUT_TOO_LARGE",
        ),
    ],
)
async def test_an_upload_that_cannot_work_leaves_nothing(
    files: Any, data: Any, code: str, alone: Gateway, s3: S3Handle, settings: Settings
) -> None:
    answer = await alone.http.post("/v1/jobs", files=files, data=data)
    assert answer.json()["code"] == code, answer.text
    assert answer.status_code in (413, 422)
    assert s3.keys() == []
    assert scratch_is_empty(settings)


async def test_a_broken_or_truncated_upload_is_refused(alone: Gateway, settings: Settings) -> None:
    kind = {"content-type": "multipart/form-data; boundary=b"}
    part = b'--b\r\nContent-Disposition: form-data; name="audio"; filename="a.wav"\r\n\r\n' + WAV
    for body in (b"", b"--c\r\n", part, part + b"\r\n--b\r\n", b"--b\r\n\r\nx\r\n--b--\r\n"):
        answer = await alone.http.post("/v1/jobs", content=body, headers=kind)
        assert (answer.status_code, answer.json()["code"]) == (422, "INVALID_REQUEST")
    for boundary in ("x" * 300, '""'):
        kind = {"content-type": f"multipart/form-data; boundary={boundary}"}
        answer = await alone.http.post("/v1/jobs", content=b"--x", headers=kind)
        assert (answer.status_code, answer.json()["code"]) == (422, "INVALID_REQUEST")
    assert scratch_is_empty(settings)


async def test_json_bodies_are_bounded(alone: Gateway) -> None:
    body = {
        "audio_url": "s3://bucket/a",
        "video_url": "s3://bucket/v",
        "metadata": {"x": "y" * 300_000},
    }
    for path in ("/v1/jobs", "/api/generate_video"):
        answer = await alone.http.post(path, json=body)
        assert answer.status_code == 413


async def test_files_sent_to_the_old_path_are_bounded_as_json_is(alone: Gateway) -> None:
    """It takes locations alone; what it read to find that out lay in memory whole."""
    files = {"audio": ("a.wav", WAV), "video": ("v.mp4", MP4 + bytes(1_000_000))}
    answer = await alone.http.post("/api/generate_video", files=files)
    assert answer.status_code == 413
    assert list(answer.json()) == ["success", "error"]


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


# --- the doors


async def test_a_key_is_asked_of_every_call_that_does_something(
    settings: Settings, s3: S3Handle
) -> None:
    from pydantic import SecretStr

    locked = settings.model_copy(update={"api_key": SecretStr("open sesame")})
    async with gateway(locked) as made:
        http = made.http
        body = locations(s3)
        for headers in ({}, {"X-API-Key": "wrong"}, {"Authorization": "Bearer no"}):
            for path in ("/v1/jobs", "/api/generate_video"):
                answer = await http.post(path, json=body, headers=headers)
                assert answer.status_code == 401
                assert answer.headers["www-authenticate"] == "Bearer"
            assert (await http.get("/v1/jobs/x", headers=headers)).status_code == 401
        old = (await http.post("/api/generate_video", json=body)).json()
        assert list(old) == ["success", "error"]
        for headers in ({"X-API-Key": "open sesame"}, {"Authorization": "bearer open sesame"}):
            assert (await http.post("/v1/jobs", json=body, headers=headers)).status_code == 202
        for path in ("/", "/health", "/livez", "/metrics", "/docs", "/openapi.json"):
            assert (await http.get(path)).status_code == 200, path
        # it may not be ready yet, but it says so to whoever asks
        assert (await http.get("/readyz")).status_code in (200, 503)


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Host": "rebound.example"},
        {"Host": "127.0.0.1.evil.example"},
    ],
)
async def test_pages_of_other_sites_cannot_call(headers: Any, alone: Gateway, s3: S3Handle) -> None:
    answer = await alone.http.post("/v1/jobs", json=locations(s3), headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (403, "FOREIGN_ORIGIN")


async def test_the_gateways_own_page_may_call(alone: Gateway, s3: S3Handle) -> None:
    headers = {"Origin": alone.url, "Sec-Fetch-Site": "same-origin"}
    answer = await alone.http.post("/v1/jobs", json=locations(s3), headers=headers)
    assert answer.status_code == 202
    assert "access-control-allow-origin" not in answer.headers


async def test_every_answer_carries_a_strict_policy(alone: Gateway) -> None:
    for path in ("/", "/docs", "/health", "/v1/jobs/x", "/nowhere"):
        policy = (await alone.http.get(path)).headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy


# --- the rest


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
    monkeypatch.setattr(gateway_book, "LOOK_S", 0.5)
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
        monkeypatch.setattr(gateway_intake, "SEND_S", 2.0)
        refused = await made.http.post("/v1/jobs", json={**locations(s3), "job_id": "in-between"})
        assert (refused.status_code, refused.json()["code"]) == (503, "BROKER_UNAVAILABLE")
        assert refused.json()["extra"] == {"job_id": "in-between"}
        assert (await made.http.get("/livez")).status_code == 200
        # The outcome cannot be heard, and is found in the store.
        gate.touch()
        answer = await waiting
        assert answer.json()["success"] is True
        monkeypatch.setattr(gateway_intake, "SEND_S", 60.0)
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


def test_it_refuses_to_serve_others_without_a_key(tmp_path: Path) -> None:
    from consumer.http.gateway import make_app
    from consumer.settings import SettingsError

    for host in ("0.0.0.0", "::", "10.0.0.7", "gateway.example"):
        with pytest.raises(SettingsError, match="F2F_API_KEY"):
            make_app(load({"F2F_GATEWAY_HOST": host}))
    for env in ({"F2F_GATEWAY_HOST": "::1"}, {"F2F_GATEWAY_HOST": "0.0.0.0", "F2F_API_KEY": "k"}):
        make_app(load(env))


@pytest.mark.parametrize(
    "kind", ["application/x-www-form-urlencoded", "multipart/form-data; boundary=x"]
)
async def test_a_form_sent_to_the_old_path_is_told_which_body_is_taken(
    alone: Gateway, kind: str
) -> None:
    body = b"audio_url=s3%3A%2F%2Fbucket%2Fa&video_url=s3%3A%2F%2Fbucket%2Fv"
    headers = {"Content-Type": kind}
    answer = await alone.http.post("/api/generate_video", content=body, headers=headers)
    assert answer.status_code == 422
    assert "is a form" in answer.json()["error"]
    assert '"audio_url": "s3://' in answer.json()["error"]
