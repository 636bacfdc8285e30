"""What comes is a whole media file within its limits, or nothing stays on disk."""

from __future__ import annotations

from pathlib import Path

import pytest

from consumer.remote.body import RemotePolicy
from consumer.remote.fetch import fetch_remote
from schemas.codes import ErrorCode
from schemas.refs import RemoteRef
from tests.consumer.remote.calls import DEV, HEAD_OK, refused
from tests.consumer.web import MP4, Web, raw, reply

HTML = b"<!DOCTYPE html><html><body>please log in" + bytes(b" " * 600)


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (reply("404 Not Found"), ErrorCode.INPUT_NOT_FOUND),
        (reply("410 Gone"), ErrorCode.INPUT_NOT_FOUND),
        (reply("401 Unauthorized"), ErrorCode.INPUT_FORBIDDEN),
        (reply("403 Forbidden"), ErrorCode.INPUT_FORBIDDEN),
        (reply("204 No Content"), ErrorCode.INPUT_UNREADABLE),
        (reply("206 Partial Content", MP4), ErrorCode.INPUT_UNREADABLE),
        (reply("429 Too Many Requests"), ErrorCode.INPUT_UNREACHABLE),
        (reply("500 Oops"), ErrorCode.INPUT_UNREACHABLE),
        (reply("503 Later"), ErrorCode.INPUT_UNREACHABLE),
        (reply("302 Found"), ErrorCode.INPUT_UNREADABLE),
        (reply("200 OK", HTML), ErrorCode.INPUT_UNREADABLE),
        (reply("200 OK", HTML, Content_Type="video/mp4"), ErrorCode.INPUT_UNREADABLE),
        (  # a page that never ends is not waited for
            raw(b"HTTP/1.1 200 OK\r\nContent-Length: 500000\r\n\r\n" + HTML),
            ErrorCode.INPUT_UNREADABLE,
        ),
        (reply("200 OK", b'{"error": "expired"}'), ErrorCode.INPUT_UNREADABLE),
        (reply("200 OK", b""), ErrorCode.INPUT_UNREADABLE),
        (reply("200 OK", b"MZ" + bytes(1000)), ErrorCode.INPUT_UNREADABLE),
        (reply("200 OK", b"#EXTM3U\nhttp://10.0.0.1/x.ts\n"), ErrorCode.INPUT_UNREADABLE),
        (reply("200 OK", b"PK\x03\x04" + bytes(600)), ErrorCode.INPUT_UNREADABLE),
        (reply("200 OK", MP4, Content_Encoding="gzip"), ErrorCode.INPUT_UNREADABLE),
        (reply("200 OK", MP4 + bytes(10**6)), ErrorCode.INPUT_TOO_LARGE),
        (
            raw(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n"),
            ErrorCode.INPUT_TOO_LARGE,
        ),
        (raw(b"HTTP/1.0 200 OK\r\n\r\n" + MP4 + bytes(10**6)), ErrorCode.INPUT_TOO_LARGE),
        (raw(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n" + MP4[:400]), "cut"),
        (raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n" + MP4[:5]), "cut"),
        (raw(b"SSH-2.0-OpenSSH_9\r\n"), ErrorCode.INPUT_UNREACHABLE),
        (raw(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 50_000), ErrorCode.INPUT_UNREACHABLE),
        (raw(b""), ErrorCode.INPUT_UNREACHABLE),
    ],
)
async def test_what_is_not_a_whole_media_file_is_refused(
    answer: object, code: object, site: Web, tmp_path: Path
) -> None:
    site.answers["/v.mp4"] = answer  # type: ignore[assignment]
    fault = await refused(f"http://127.0.0.1:{site.port}/v.mp4", tmp_path / "in", DEV)
    assert fault.code is (ErrorCode.INPUT_UNREACHABLE if code == "cut" else code)


async def test_a_web_page_is_called_one(site: Web, tmp_path: Path) -> None:
    site.answers["/v.mp4"] = reply("200 OK", HTML)
    fault = await refused(f"http://127.0.0.1:{site.port}/v.mp4", tmp_path / "in", DEV)
    assert "a web page" in fault.error.message


async def test_chunked_bodies_are_taken(site: Web, tmp_path: Path) -> None:
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(c), c) for c in (MP4[:100], MP4[100:])) + b"0\r\n\r\n"
    site.answers["/v"] = raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks)
    await fetch_remote(RemoteRef(f"http://127.0.0.1:{site.port}/v"), tmp_path / "in", DEV)
    assert (tmp_path / "in").read_bytes() == MP4


@pytest.mark.parametrize(
    "policy",
    [
        RemotePolicy(loopback=True, total_s=0.3),
        RemotePolicy(loopback=True, idle_s=0.2),
        RemotePolicy(loopback=True, drip_window_s=0.2, drip_bytes=10_000),
    ],
    ids=["total", "silence", "drip"],
)
async def test_a_server_that_keeps_us_waiting_is_left(
    policy: RemotePolicy, site: Web, tmp_path: Path
) -> None:
    drops = [b"x"] * 200 if policy.idle_s > 1 else []
    site.answers["/v"] = raw(HEAD_OK, *drops, pause_s=0.05 if drops else 30)
    fault = await refused(f"http://127.0.0.1:{site.port}/v", tmp_path / "in", policy)
    assert fault.code is ErrorCode.INPUT_UNREACHABLE
