"""A remote input comes from its checked address, proved by its name; or not at all."""

from __future__ import annotations

import asyncio
import hashlib
import socket
import ssl
import sys
from pathlib import Path

import pytest

from consumer.remote.download import Whole
from consumer.remote.fetch import fetch_remote
from schemas.codes import ErrorCode
from schemas.refs import RemoteRef
from tests.consumer.remote.calls import DEV, GLOBAL, HEAD_OK, HOST, PUBLIC, Names, refused
from tests.consumer.web import MP4, WAV, Dial, Web, certificates, reply, web


async def test_the_checked_address_is_dialled_and_the_name_is_what_tls_proves(
    secure: tuple[Web, ssl.SSLContext], tmp_path: Path
) -> None:
    site, trust = secure
    site.answers["/v.mp4"] = reply("200 OK", MP4)
    names, dial = Names(media_example=[[GLOBAL], ["127.0.0.1"]]), Dial(site.port)
    path = tmp_path / "in"
    got = await fetch_remote(
        RemoteRef(f"https://{HOST}/v.mp4?sig=a%2Fb+c#part"),
        path,
        PUBLIC,
        resolve=names,
        dial=dial,
        tls=trust,
    )
    assert got == Whole(len(MP4), hashlib.sha256(MP4).hexdigest(), "")
    assert path.read_bytes() == MP4
    assert dial.dialled == [(GLOBAL, 443)], "the address that was checked, not the name"
    assert names.asked == [HOST], "resolved once: there is no second look-up to rebind"
    assert site.names == [HOST]
    head = site.requests[0].lower()
    assert head.startswith("get /v.mp4?sig=a%2fb+c http/1.1")
    assert f"host: {HOST}\r\n" in head
    assert "cookie" not in head
    assert "authorization" not in head


async def test_a_certificate_of_another_host_is_refused(tmp_path: Path) -> None:
    server, trust = certificates(tmp_path, "another.example")
    async with web(server) as site:
        site.answers["/v.mp4"] = reply("200 OK", MP4)
        names, dial = Names(media_example=[[GLOBAL]]), Dial(site.port)
        fault = await refused(
            f"https://{HOST}/v.mp4", tmp_path / "in", PUBLIC, resolve=names, dial=dial, tls=trust
        )
    assert fault.code is ErrorCode.INPUT_UNREACHABLE
    assert "TLS" in fault.error.message
    assert site.requests == []


async def test_a_certificate_that_nobody_trusts_is_refused(
    secure: tuple[Web, ssl.SSLContext], tmp_path: Path
) -> None:
    site, _ = secure
    names, dial = Names(media_example=[[GLOBAL]]), Dial(site.port)
    fault = await refused(f"https://{HOST}/v", tmp_path / "in", PUBLIC, resolve=names, dial=dial)
    assert fault.code is ErrorCode.INPUT_UNREACHABLE
    assert site.requests == []


async def test_environment_proxies_are_not_used(
    site: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    site.answers["/v.mp4"] = reply("200 OK", MP4)
    got = await fetch_remote(RemoteRef(f"http://127.0.0.1:{site.port}/v.mp4"), tmp_path / "in", DEV)
    assert got.size == len(MP4)


async def test_an_unknown_host_is_said_to_be_not_found(tmp_path: Path) -> None:
    fault = await refused(f"https://{HOST}/v", tmp_path / "in", PUBLIC, resolve=Names())
    assert fault.code is ErrorCode.INPUT_NOT_FOUND


async def test_a_port_that_refuses_is_worth_a_retry(tmp_path: Path) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/v.mp4"
        fault = await refused(url, tmp_path / "in", DEV)
    assert fault.code is ErrorCode.INPUT_UNREACHABLE
    assert fault.error.retryable


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_followed(status: int, site: Web, tmp_path: Path) -> None:
    site.answers["/a"] = reply(f"{status} Moved", Location="/b#frag")
    site.answers["/b"] = reply("200 OK", WAV)
    url = f"http://localhost:{site.port}/a"
    got = await fetch_remote(RemoteRef(url), tmp_path / "in", DEV, resolve=Names())
    assert got.size == len(WAV)
    assert site.requests[1].startswith("GET /b HTTP")


async def test_a_circle_of_redirects_ends(site: Web, tmp_path: Path) -> None:
    site.answers["/a"] = reply("302 Found", Location="/a")
    fault = await refused(f"http://127.0.0.1:{site.port}/a", tmp_path / "in", DEV)
    assert fault.code is ErrorCode.INPUT_FORBIDDEN
    assert len(site.requests) == 6


async def test_a_signature_in_the_query_is_never_shown(site: Web, tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{site.port}/v.mp4?X-Signature=topsecret"
    fault = await refused(url, tmp_path / "in", DEV)
    assert "topsecret" not in f"{fault} {fault.error!r}"


@pytest.mark.parametrize("status", ["400 Bad Request", "403 Forbidden"])
async def test_a_signed_url_that_is_over_is_told_from_a_host_that_wants_credentials(
    status: str, site: Web, tmp_path: Path
) -> None:
    address = f"http://127.0.0.1:{site.port}/v.mp4"
    site.answers["/v.mp4"] = reply(status)
    signed = await refused(f"{address}?X-Signature=s", tmp_path / "in", DEV)
    assert signed.code is ErrorCode.INPUT_FORBIDDEN
    assert "signed URLs must live until they are read" in signed.what
    assert "signed" not in (await refused(address, tmp_path / "in", DEV)).what


async def test_a_cancelled_fetch_leaves_no_file(site: Web, tmp_path: Path) -> None:
    came = asyncio.Event()

    async def hang(out: asyncio.StreamWriter) -> None:
        out.write(HEAD_OK)
        await out.drain()
        came.set()
        await asyncio.sleep(30)

    site.answers["/v"] = hang
    ref = RemoteRef(f"http://127.0.0.1:{site.port}/v")
    task = asyncio.create_task(fetch_remote(ref, tmp_path / "in", DEV))
    await came.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not (tmp_path / "in").exists()


async def test_the_import_stays_light() -> None:
    code = (
        "import sys, consumer.remote.fetch; "
        "print(sorted({'httpcore2', 'httpx2', 'torch', 'numpy'} & set(sys.modules)))"
    )
    done = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, stdout=asyncio.subprocess.PIPE
    )
    out, _ = await done.communicate()
    assert out.decode().strip() == "[]"
