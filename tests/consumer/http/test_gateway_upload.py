"""Files are taken whole and within their limits, or leave nothing."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest

from consumer.settings import Settings
from tests.consumer.http.calls import events, scratch_is_empty
from tests.consumer.http.stand import Gateway
from tests.consumer.web import MP4, WAV
from tests.support.handles import S3Handle


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


async def test_a_path_in_the_place_of_a_file_is_told_how_curl_sends_files(alone: Gateway) -> None:
    files = {"audio": (None, b"speech.wav"), "video": (None, b"face.mp4")}
    answer = await alone.http.post("/v1/jobs", files=files)
    assert answer.status_code == 422
    assert "-F audio=@FILE" in answer.json()["detail"]


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
