"""A remote input comes from the allowed host, at its checked address, whole; or not at all."""

from __future__ import annotations

import asyncio
import hashlib
import ipaddress
import socket
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from consumer.addresses import Address
from consumer.download import Fetched
from consumer.faults import Fault
from consumer.remote import RemotePolicy, fetch_remote
from schemas.codes import ErrorCode
from schemas.refs import RemoteRef
from tests.consumer.web import MP4, WAV, Dial, Web, certificates, raw, reply, web

HOST = "media.example"
GLOBAL = "93.184.216.34"
DEV = RemotePolicy(loopback=True, max_bytes=10**6, total_s=20)


class Names:
    """A resolver with a table; a name may answer differently the second time."""

    def __init__(self, **names: list[list[str]]) -> None:
        self.table = {name.replace("_", "."): answers for name, answers in names.items()}
        self.asked: list[str] = []

    async def __call__(self, host: str, port: int) -> list[Address]:
        self.asked.append(host)
        if host == "localhost":
            return [ipaddress.ip_address("127.0.0.1")]
        if host not in self.table:
            raise socket.gaierror(socket.EAI_NONAME, "unknown")
        answers = self.table[host]
        found = answers.pop(0) if len(answers) > 1 else answers[0]
        return [ipaddress.ip_address(text) for text in found]


@pytest.fixture
async def site() -> AsyncIterator[Web]:
    async with web() as found:
        yield found


@pytest.fixture
async def secure(tmp_path: Path) -> AsyncIterator[tuple[Web, ssl.SSLContext]]:
    server, client = certificates(tmp_path, HOST)
    async with web(server) as found:
        yield found, client


async def _code(ref: str, path: Path, policy: RemotePolicy, **seams: object) -> Fault:
    with pytest.raises(Fault) as caught:
        await fetch_remote(RemoteRef(ref), path, policy, **seams)  # type: ignore[arg-type]
    assert not path.exists(), "nothing of a failed fetch stays on disk"
    return caught.value


# --- what is refused before anything is connected

REFUSED = [
    f"https://{HOST}/v.mp4",  # not on the list
    "https://127.0.0.1/v.mp4",
    "https://127.0.0.1:8443/v.mp4",
    "https://[::1]/v.mp4",
    "https://localhost/v.mp4",
    "https://LOCALHOST./v.mp4",
    "https://2130706433/v.mp4",
    "https://0x7f000001/v.mp4",
    "https://017700000001/v.mp4",
    "https://0177.0.0.1/v.mp4",
    "https://127.1/v.mp4",
    "https://0/v.mp4",
    "https://0.0.0.0/v.mp4",
    "https://169.254.169.254/latest/meta-data",
    "https://[::ffff:169.254.169.254]/v.mp4",
    "https://[::ffff:7f00:1]/v.mp4",
    "https://[64:ff9b::7f00:1]/v.mp4",
    "https://[2002:7f00:1::]/v.mp4",
    "https://[fd00:ec2::254]/v.mp4",
    "https://[fe80::1]/v.mp4",
    "https://10.0.0.1/v.mp4",
    "https://192.168.0.1/v.mp4",
    "https://100.100.100.200/v.mp4",
    "https://168.63.129.16/v.mp4",
    "https://１２７.０.０.１/v.mp4",
    "https://ⓔxample.com/v.mp4",
    "https://user@listed.example/v.mp4",
    "https://user:secret@listed.example/v.mp4",
    "https://listed.example@127.0.0.1/v.mp4",
    "https://127.0.0.1#@listed.example/v.mp4",
    "https://listed.example:22/v.mp4",
    "https://listed.example:9000/v.mp4",
    "http://listed.example/v.mp4",
    "http://169.254.169.254/v.mp4",
    "https://listed.example.evil.example/v.mp4",
    "https://listed.example..evil/v.mp4",
    "https://private.example/v.mp4",
    "https://mixed.example/v.mp4",
    "https://mapped.example/v.mp4",
    "https://listed.example\\@127.0.0.1/v.mp4",
    "https://listed.example%00.evil/v.mp4",
    "https:///v.mp4",
    "https://%6c%6f%63alhost/v.mp4",
    "file:///etc/passwd",
    "ftp://listed.example/v.mp4",
    "gopher://127.0.0.1:6379/_x",
    "s3://face2face/v.mp4",
]


@pytest.mark.parametrize("url", REFUSED)
async def test_nothing_is_dialled_for_a_location_that_is_not_allowed(
    url: str, tmp_path: Path
) -> None:
    dial = Dial(1)
    names = Names(
        listed_example=[[GLOBAL]],
        private_example=[["10.1.2.3"]],
        mixed_example=[[GLOBAL, "127.0.0.1"]],
        mapped_example=[["::ffff:10.1.2.3"]],
        media_example=[[GLOBAL]],
    )
    listed: tuple[str, ...] = ("listed.example", "private.example", "mixed.example")
    listed += ("mapped.example",)
    listed += ("127.0.0.1", "[::1]", "localhost", "169.254.169.254", "10.0.0.1", "*.evil.example")
    policy = RemotePolicy(hosts=listed if "evil" not in url else listed[:-1])
    fault = await _code(url, tmp_path / "in", policy, resolve=names, dial=dial)
    assert fault.code is ErrorCode.INPUT_FORBIDDEN
    assert dial.dialled == []


@pytest.mark.parametrize("url", [u for u in REFUSED if "example" not in u and "://" in u])
async def test_the_setting_for_the_public_internet_opens_no_private_door(
    url: str, tmp_path: Path
) -> None:
    dial = Dial(1)
    names = Names()
    fault = await _code(
        url, tmp_path / "in", RemotePolicy(hosts=("*", "*:8443")), resolve=names, dial=dial
    )
    assert fault.code is ErrorCode.INPUT_FORBIDDEN
    assert dial.dialled == []


async def test_by_default_no_host_is_allowed(tmp_path: Path) -> None:
    fault = await _code(f"https://{HOST}/v.mp4", tmp_path / "in", RemotePolicy())
    assert fault.code is ErrorCode.INPUT_FORBIDDEN
    assert "F2F_ALLOWED_HOSTS" in fault.error.message


# --- the connection

PUBLIC = RemotePolicy(hosts=(HOST, "other.example"), max_bytes=10**6, total_s=20)


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
    assert got == Fetched(len(MP4), hashlib.sha256(MP4).hexdigest(), "")
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
        fault = await _code(
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
    fault = await _code(f"https://{HOST}/v", tmp_path / "in", PUBLIC, resolve=names, dial=dial)
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
    fault = await _code(f"https://{HOST}/v", tmp_path / "in", PUBLIC, resolve=Names())
    assert fault.code is ErrorCode.INPUT_NOT_FOUND


async def test_a_port_that_refuses_is_worth_a_retry(tmp_path: Path) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/v.mp4"
        fault = await _code(url, tmp_path / "in", DEV)
    assert fault.code is ErrorCode.INPUT_UNREACHABLE
    assert fault.error.retryable


# --- redirects


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_followed(status: int, site: Web, tmp_path: Path) -> None:
    site.answers["/a"] = reply(f"{status} Moved", Location="/b#frag")
    site.answers["/b"] = reply("200 OK", WAV)
    url = f"http://localhost:{site.port}/a"
    got = await fetch_remote(RemoteRef(url), tmp_path / "in", DEV, resolve=Names())
    assert got.size == len(WAV)
    assert site.requests[1].startswith("GET /b HTTP")


LEADS = [
    "http://169.254.169.254/latest/meta-data",
    "https://10.0.0.1/v.mp4",
    "https://private.example/v.mp4",
    "https://unlisted.example/v.mp4",
    "http://other.example/v.mp4",
    "https://other.example:9000/v.mp4",
    "https://user:x@other.example/v.mp4",
    "https://2130706433/",
    "//127.0.0.1/v.mp4",
    "https://[::1]/v.mp4",
    "file:///etc/passwd",
    "s3://face2face/secret",
    "data:video/mp4;base64,AAAA",
    "javascript:alert(1)",
]


@pytest.mark.parametrize("location", LEADS)
@pytest.mark.parametrize("loopback", [False, True])
async def test_each_hop_is_checked_as_the_first_one(
    location: str, loopback: bool, secure: tuple[Web, ssl.SSLContext], tmp_path: Path
) -> None:
    site, trust = secure
    site.answers["/a"] = reply("302 Found", Location=location)
    names = Names(
        media_example=[[GLOBAL]], other_example=[[GLOBAL]], private_example=[["192.168.7.7"]]
    )
    dial = Dial(site.port)
    policy = RemotePolicy(hosts=(HOST, "other.example", "private.example"), loopback=loopback)
    fault = await _code(
        f"https://{HOST}/a", tmp_path / "in", policy, resolve=names, dial=dial, tls=trust
    )
    assert fault.code is ErrorCode.INPUT_FORBIDDEN
    assert dial.dialled == [(GLOBAL, 443)], "the first hop alone was connected"


async def test_a_circle_of_redirects_ends(site: Web, tmp_path: Path) -> None:
    site.answers["/a"] = reply("302 Found", Location="/a")
    fault = await _code(f"http://127.0.0.1:{site.port}/a", tmp_path / "in", DEV)
    assert fault.code is ErrorCode.INPUT_FORBIDDEN
    assert len(site.requests) == 6


async def test_a_name_that_turns_private_between_hops_is_refused(
    secure: tuple[Web, ssl.SSLContext], tmp_path: Path
) -> None:
    site, trust = secure
    site.answers["/a"] = reply("302 Found", Location="/b")
    site.answers["/b"] = reply("200 OK", MP4)
    names, dial = Names(media_example=[[GLOBAL], ["127.0.0.1"]]), Dial(site.port)
    fault = await _code(
        f"https://{HOST}/a", tmp_path / "in", PUBLIC, resolve=names, dial=dial, tls=trust
    )
    assert fault.code is ErrorCode.INPUT_FORBIDDEN
    assert dial.dialled == [(GLOBAL, 443)]


# --- what comes

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
    fault = await _code(f"http://127.0.0.1:{site.port}/v.mp4", tmp_path / "in", DEV)
    assert fault.code is (ErrorCode.INPUT_UNREACHABLE if code == "cut" else code)


async def test_a_web_page_is_called_one(site: Web, tmp_path: Path) -> None:
    site.answers["/v.mp4"] = reply("200 OK", HTML)
    fault = await _code(f"http://127.0.0.1:{site.port}/v.mp4", tmp_path / "in", DEV)
    assert "a web page" in fault.error.message


async def test_chunked_bodies_are_taken(site: Web, tmp_path: Path) -> None:
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(c), c) for c in (MP4[:100], MP4[100:])) + b"0\r\n\r\n"
    site.answers["/v"] = raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks)
    await fetch_remote(RemoteRef(f"http://127.0.0.1:{site.port}/v"), tmp_path / "in", DEV)
    assert (tmp_path / "in").read_bytes() == MP4


HEAD_OK = b"HTTP/1.1 200 OK\r\nContent-Length: 500000\r\n\r\n" + MP4[:600]


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
    fault = await _code(f"http://127.0.0.1:{site.port}/v", tmp_path / "in", policy)
    assert fault.code is ErrorCode.INPUT_UNREACHABLE


async def test_a_signature_in_the_query_is_never_shown(site: Web, tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{site.port}/v.mp4?X-Signature=topsecret"
    fault = await _code(url, tmp_path / "in", DEV)
    assert "topsecret" not in f"{fault} {fault.error!r}"


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
        "import sys, consumer.remote; "
        "print(sorted({'httpcore2', 'httpx2', 'torch', 'numpy'} & set(sys.modules)))"
    )
    import sys

    done = await asyncio.create_subprocess_exec(
        sys.executable, "-c", code, stdout=asyncio.subprocess.PIPE
    )
    out, _ = await done.communicate()
    assert out.decode().strip() == "[]"
