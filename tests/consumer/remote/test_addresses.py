"""Only addresses of the public internet pass, however they are spelled or wrapped."""

from __future__ import annotations

import ipaddress

import pytest

from consumer.remote.addresses import (
    HostRefused,
    allowed,
    check_host,
    is_loopback_host,
    why_refused,
)

PRIVATE = [
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.1",
    "100.64.0.1",
    "100.100.100.200",
    "127.0.0.1",
    "127.255.255.254",
    "168.63.129.16",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.192",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.1.1",
    "198.18.0.1",
    "198.51.100.7",
    "203.0.113.9",
    "224.0.0.1",
    "239.255.255.250",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:169.254.169.254",
    "::127.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::1",
    "100::1",
    "2001::1",
    "2001:0:4136:e378:8000:63bf:3fff:fdd2",
    "2001:db8::1",
    "2002:7f00:1::1",
    "2002:c0a8:101::1",
    "3fff::1",
    "5f00::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fec0::1",
    "ff02::1",
]


@pytest.mark.parametrize("text", PRIVATE)
def test_no_address_outside_the_public_internet_passes(text: str) -> None:
    assert why_refused(ipaddress.ip_address(text)) is not None


@pytest.mark.parametrize(
    "text",
    [
        "1.1.1.1",
        "93.184.216.34",
        "172.32.0.1",
        "2606:4700:4700::1111",
        "2a00:1450:4001::1",
        "::ffff:8.8.8.8",
        "64:ff9b::808:808",
    ],
)
def test_addresses_of_the_public_internet_pass(text: str) -> None:
    assert why_refused(ipaddress.ip_address(text)) is None


def test_an_address_with_a_scope_is_refused() -> None:
    assert why_refused(ipaddress.ip_address("2606:4700::1%eth0")) is not None


@pytest.mark.parametrize(
    "host",
    [
        "2130706433",
        "0x7f000001",
        "0x7f.1",
        "127.1",
        "127.0.1",
        "0177.0.0.1",
        "017700000001",
        "127.0.0.0x1",
        "127.0.0.1.1",
        "1.2.3.256",
        "0x",
        "１２７.０.０.１",
        "ⓛocalhost",
        "localhost。",
        "münchen.example",
        "exa mple.com",
        "-bad.example",
        "bad-.example",
        "two..dots",
        ".",
        "",
        "a" * 64 + ".example",
        ("a" * 60 + ".") * 5 + "example",
        "::1::",
        "[::1]",
        "fe80::1%",
        "1.2.3.4:80",
        "a/b",
        "a@b",
        "a#b",
    ],
)
def test_hosts_in_disguise_are_refused(host: str) -> None:
    with pytest.raises(HostRefused):
        check_host(host)


@pytest.mark.parametrize(
    ("host", "canonical"),
    [
        ("Example.COM", "example.com"),
        ("example.com.", "example.com"),
        ("xn--mnchen-3ya.example", "xn--mnchen-3ya.example"),
        ("a_b.example", "a_b.example"),
        ("127.0.0.1", "127.0.0.1"),
        ("127.0.0.1.", "127.0.0.1"),
        ("0:0:0:0:0:0:0:1", "::1"),
        ("LOCALHOST.", "localhost"),
    ],
)
def test_hosts_have_one_canonical_form(host: str, canonical: str) -> None:
    assert check_host(host) == canonical


@pytest.mark.parametrize(
    ("host", "port", "patterns", "answer"),
    [
        ("cdn.example", 443, (), False),
        ("cdn.example", 443, ("cdn.example",), True),
        ("cdn.example", 443, ("CDN.Example",), True),
        ("cdn.example", 8443, ("cdn.example",), False),
        ("cdn.example", 8443, ("cdn.example:8443",), True),
        ("cdn.example", 443, ("cdn.example:8443",), False),
        ("evil-cdn.example", 443, ("cdn.example",), False),
        ("cdn.example.evil", 443, ("cdn.example",), False),
        ("a.cdn.example", 443, (".cdn.example",), True),
        ("a.b.cdn.example", 443, ("*.cdn.example",), True),
        ("cdn.example", 443, (".cdn.example",), False),
        ("evilcdn.example", 443, (".cdn.example",), False),
        ("anything.at.all", 443, ("*",), True),
        ("anything.at.all", 22, ("*",), False),
        ("anything.at.all", 8443, ("*:8443",), True),
        ("2606:4700::1", 443, ("[2606:4700::1]",), True),
        ("2606:4700::1", 8443, ("[2606:4700::1]:8443",), True),
        ("8.8.8.8", 443, (".8",), False),
    ],
)
def test_only_listed_hosts_and_ports_are_allowed(
    host: str, port: int, patterns: tuple[str, ...], answer: bool
) -> None:
    assert allowed(host, port, patterns) is answer


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.9.9.9", "::1"])
def test_loopback_is_known_by_its_literals(host: str) -> None:
    assert is_loopback_host(host)


@pytest.mark.parametrize("host", ["localhost.evil.example", "10.0.0.1", "my-localhost", "::2"])
def test_no_other_name_counts_as_loopback(host: str) -> None:
    assert not is_loopback_host(host)
