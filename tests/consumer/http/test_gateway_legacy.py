"""The old call works as it stands, over a real broker, a real store and a real worker child."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import io
from typing import Any

import pytest

from consumer.settings import Settings
from tests.consumer.http.calls import locations, scratch_is_empty
from tests.consumer.http.stand import Gateway, gateway, service
from tests.consumer.web import MP4, WAV, reply, web
from tests.support.handles import S3Handle
from tests.support.null_render import output_bytes


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


async def test_a_slash_at_the_end_of_the_path_redirects_nobody_and_changes_nothing(
    bridge: Gateway, s3: S3Handle
) -> None:
    answer = await bridge.http.post("/api/generate_video/", json=locations(s3))
    assert (answer.status_code, answer.json()["success"]) == (200, True)


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
    assert len(site.requests) == 2, "workers are sent to the bucket"
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


async def test_a_job_whose_mp4_is_gone_is_told_that_it_is(bridge: Gateway, s3: S3Handle) -> None:
    body = locations(s3) | {"job_id": "old-1"}
    assert (await bridge.http.post("/api/generate_video", json=body)).json()["success"]
    (mp4,) = (key for key in s3.keys("results/old-1/") if key.endswith(".mp4"))
    s3.client().remove_object(s3.bucket, mp4)
    answer = await bridge.http.post("/api/generate_video", json=body)
    assert (answer.status_code, answer.json()["success"]) == (200, False)
    assert mp4 in answer.json()["error"]
    assert "another job_id" in answer.json()["error"]
    assert answer.headers["x-face2face-code"] == "NO_RESULT"


async def test_a_changed_mp4_is_a_trouble_of_the_store_and_not_of_the_call(
    bridge: Gateway, s3: S3Handle
) -> None:
    body = locations(s3) | {"job_id": "old-1"}
    first = (await bridge.http.post("/api/generate_video", json=body)).json()
    (mp4,) = (key for key in s3.keys("results/old-1/") if key.endswith(".mp4"))
    s3.client().put_object(s3.bucket, mp4, io.BytesIO(bytes(first["size"])), first["size"])
    answer = await bridge.http.post("/api/generate_video", json=body)
    assert (answer.status_code, answer.json()["success"]) == (500, False)
    assert answer.headers["x-face2face-code"] == "OUTPUT_INVALID"


async def test_files_sent_to_the_old_path_are_bounded_as_json_is(alone: Gateway) -> None:
    """It takes locations alone; what it read to find that out lay in memory whole."""
    files = {"audio": ("a.wav", WAV), "video": ("v.mp4", MP4 + bytes(1_000_000))}
    answer = await alone.http.post("/api/generate_video", files=files)
    assert answer.status_code == 413
    assert list(answer.json()) == ["success", "error"]


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
