"""Of what is not allowed nothing is dialled, whether it is asked for or redirected to."""

from __future__ import annotations

import socket
import ssl
from pathlib import Path

import pytest

from consumer.remote.addresses import Address
from consumer.remote.body import RemotePolicy
from consumer.remote.hop import HopCheck
from schemas.codes import ErrorCode
from tests.consumer.remote.calls import GLOBAL, HOST, PUBLIC, Names, refused
from tests.consumer.web import MP4, Dial, Web, reply

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
    fault = await refused(url, tmp_path / "in", policy, resolve=names, dial=dial)
    assert fault.code is ErrorCode.INPUT_FORBIDDEN
    assert dial.dialled == []


@pytest.mark.parametrize("url", [u for u in REFUSED if "example" not in u and "://" in u])
async def test_the_setting_for_the_public_internet_opens_no_private_door(
    url: str, tmp_path: Path
) -> None:
    dial = Dial(1)
    names = Names()
    fault = await refused(
        url, tmp_path / "in", RemotePolicy(hosts=("*", "*:8443")), resolve=names, dial=dial
    )
    assert fault.code is ErrorCode.INPUT_FORBIDDEN
    assert dial.dialled == []


async def test_by_default_no_host_is_allowed(tmp_path: Path) -> None:
    fault = await refused(f"https://{HOST}/v.mp4", tmp_path / "in", RemotePolicy())
    assert fault.code is ErrorCode.INPUT_FORBIDDEN
    assert "F2F_ALLOWED_HOSTS" in fault.error.message


async def test_what_the_list_lacks_is_named_as_it_would_be_written_there(tmp_path: Path) -> None:
    for port, name in (("", HOST), (":443", HOST), (":9000", f"{HOST}:9000")):
        fault = await refused(f"https://{HOST}{port}/v.mp4", tmp_path / "in", RemotePolicy())
        assert f"host {name!r} is not in F2F_ALLOWED_HOSTS" in fault.error.message
        assert fault.error.detail["host"] == name


@pytest.mark.parametrize(
    ("trouble", "code"),
    [
        (socket.gaierror(socket.EAI_NONAME, "unknown"), ErrorCode.INPUT_NOT_FOUND),
        (socket.gaierror(socket.EAI_AGAIN, "the resolver is away"), ErrorCode.INPUT_UNREACHABLE),
        (OSError("no files left"), ErrorCode.INPUT_UNREACHABLE),
    ],
)
async def test_a_resolver_in_trouble_is_told_from_a_name_that_is_none(
    trouble: OSError, code: ErrorCode, tmp_path: Path
) -> None:
    async def resolve(host: str, port: int) -> list[Address]:
        raise trouble

    fault = await refused(f"https://{HOST}/v.mp4", tmp_path / "in", PUBLIC, resolve=resolve)
    assert fault.code is code


async def test_a_name_without_any_address_is_not_found(tmp_path: Path) -> None:
    names = Names(media_example=[[]])
    fault = await refused(f"https://{HOST}/v.mp4", tmp_path / "in", PUBLIC, resolve=names)
    assert fault.code is ErrorCode.INPUT_NOT_FOUND


async def test_http_and_https_have_their_own_ports() -> None:
    check = HopCheck(RemotePolicy(hosts=(HOST,), loopback=True), Names(media_example=[[GLOBAL]]))
    for url, port in (
        (f"https://{HOST}/v", 443),
        ("http://localhost/v", 80),
        ("http://localhost:81/v", 81),
    ):
        assert (await check.check(url, None)).port == port


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
    fault = await refused(
        f"https://{HOST}/a", tmp_path / "in", policy, resolve=names, dial=dial, tls=trust
    )
    assert fault.code is ErrorCode.INPUT_FORBIDDEN
    assert dial.dialled == [(GLOBAL, 443)], "the first hop alone was connected"


async def test_a_name_that_turns_private_between_hops_is_refused(
    secure: tuple[Web, ssl.SSLContext], tmp_path: Path
) -> None:
    site, trust = secure
    site.answers["/a"] = reply("302 Found", Location="/b")
    site.answers["/b"] = reply("200 OK", MP4)
    names, dial = Names(media_example=[[GLOBAL], ["127.0.0.1"]]), Dial(site.port)
    fault = await refused(
        f"https://{HOST}/a", tmp_path / "in", PUBLIC, resolve=names, dial=dial, tls=trust
    )
    assert fault.code is ErrorCode.INPUT_FORBIDDEN
    assert dial.dialled == [(GLOBAL, 443)]
