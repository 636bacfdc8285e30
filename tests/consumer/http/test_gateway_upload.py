"""Files are taken whole and within their limits, or leave nothing."""

from __future__ import annotations

import asyncio
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from starlette.requests import Request
from starlette.types import Message

from consumer.faults import Fault
from consumer.http import gateway_upload
from consumer.http.gateway_problems import Refused
from consumer.http.gateway_upload import receive
from consumer.settings import Settings
from schemas.codes import ErrorCode, Stage
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
            {"request": " " * 300_000},
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


async def test_the_longest_transcript_of_any_script_comes_with_the_files(alone: Gateway) -> None:
    """Escaped, as clients in Python send it, it was larger than the part might be."""
    options = {"transcript": "\u044f" * 20_000}
    answer = await alone.http.post(
        "/v1/jobs",
        files={"audio": ("a.wav", WAV), "video": ("v.mp4", MP4)},
        data={"request": json.dumps({"options": options})},
    )
    assert answer.status_code == 202, answer.text


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


def _part(name: str, *headers: str, kind: str = "form-data") -> bytes:
    lines = [f'Content-Disposition: {kind}; name="{name}"; filename="f.wav"', *headers]
    return "\r\n".join(["--b", *lines, "", ""]).encode() + WAV + b"\r\n"


@pytest.mark.parametrize(
    ("parts", "says"),
    [
        ([_part("audio"), _part("audio")], "part 'audio' is given twice"),
        ([_part("request"), _part("request")], "part 'request' is given twice"),
        ([_part("audio", kind="attachment")], "part 'audio' is unknown"),
        ([_part("n" * 99)], f"part {'n' * 40!r} is unknown"),
        ([_part("audio", "X: " + "x" * 100_000)], "the multipart body is broken"),
        ([_part("audio", *(f"X-{n}: x" for n in range(100)))], "the multipart body is broken"),
    ],
)
async def test_no_part_comes_twice_or_unasked_or_with_headers_without_end(
    parts: list[bytes], says: str, alone: Gateway, settings: Settings
) -> None:
    kind = {"content-type": "multipart/form-data; boundary=b"}
    answer = await alone.http.post("/v1/jobs", content=b"".join(parts) + b"--b--\r\n", headers=kind)
    assert (answer.status_code, answer.json()["code"]) == (422, "INVALID_REQUEST")
    assert says in answer.json()["detail"]
    assert scratch_is_empty(settings)


def _request(*messages: Message | Exception) -> Request:
    """A request whose body comes in these messages, and after them no more."""
    coming = iter(messages)

    async def receive_next() -> Message:
        message = next(coming, None)
        if isinstance(message, Exception):
            raise message
        if message is None:
            await asyncio.Event().wait()
        assert message is not None
        return message

    headers = [(b"content-type", b"multipart/form-data; boundary=b")]
    return Request({"type": "http", "method": "POST", "headers": headers}, receive_next)


BEGUN: Message = {"type": "http.request", "body": _part("audio"), "more_body": True}


@pytest.mark.parametrize("end", [[{"type": "http.disconnect"}], []], ids=["gone", "silent"])
async def test_an_upload_that_breaks_off_or_falls_silent_is_given_up(
    end: list[Message], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gateway_upload, "IDLE_S", 0.05 if not end else 600.0)
    with pytest.raises(Refused, match="the upload broke off"):
        await receive(_request(BEGUN, *end), tmp_path, 10**6)


async def test_an_upload_that_drips_is_given_up_in_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gateway_upload, "TOTAL_S", 0.05)
    with pytest.raises(Refused, match="the upload broke off"):
        await receive(_request(BEGUN), tmp_path, 10**6)


async def test_an_upload_ends_where_others_fill_the_disk_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each was let in while there was room, and together they took the last byte of the disk."""
    monkeypatch.setattr(gateway_upload, "ROOM_BYTES", len(WAV))
    room = iter([True, True, False])

    def check_room() -> None:
        if not next(room):
            raise Fault.of(ErrorCode.SCRATCH_FULL, Stage.FETCH, "the disk is nearly full")

    more: Message = {"type": "http.request", "body": WAV, "more_body": True}
    with pytest.raises(Fault, match="nearly full"):
        await receive(_request(BEGUN, *[more] * 9), tmp_path, 10**6, check_room)
    assert (tmp_path / "upload-audio").stat().st_size < 3 * len(WAV)


async def test_a_full_disk_is_no_fault_of_the_upload(tmp_path: Path) -> None:
    (tmp_path / "upload-audio").symlink_to("/dev/full")
    end: Message = {"type": "http.request", "body": b"--b--\r\n", "more_body": False}
    with pytest.raises(Fault) as caught:
        await receive(_request(BEGUN, end), tmp_path, 10**6)
    assert caught.value.code is ErrorCode.SCRATCH_FULL


async def test_json_bodies_are_bounded(alone: Gateway) -> None:
    body = {
        "audio_url": "s3://bucket/a",
        "video_url": "s3://bucket/v",
        "metadata": {"x": "y" * 300_000},
    }
    for path in ("/v1/jobs", "/api/generate_video"):
        answer = await alone.http.post(path, json=body)
        assert answer.status_code == 413
