"""How the tests of remote inputs call: names that are resolved by a table, and what is refused."""

from __future__ import annotations

import ipaddress
import socket
from pathlib import Path

import pytest

from consumer.faults import Fault
from consumer.remote.addresses import Address
from consumer.remote.body import RemotePolicy
from consumer.remote.fetch import fetch_remote
from schemas.refs import RemoteRef
from tests.consumer.web import MP4

HOST = "media.example"
GLOBAL = "93.184.216.34"
DEV = RemotePolicy(loopback=True, max_bytes=10**6, total_s=20)
PUBLIC = RemotePolicy(hosts=(HOST, "other.example"), max_bytes=10**6, total_s=20)
HEAD_OK = b"HTTP/1.1 200 OK\r\nContent-Length: 500000\r\n\r\n" + MP4[:600]
"""The beginning of an answer whose end does not come."""


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


async def refused(ref: str, path: Path, policy: RemotePolicy, **seams: object) -> Fault:
    with pytest.raises(Fault) as caught:
        await fetch_remote(RemoteRef(ref), path, policy, **seams)  # type: ignore[arg-type]
    assert not path.exists(), "nothing of a failed fetch stays on disk"
    return caught.value
