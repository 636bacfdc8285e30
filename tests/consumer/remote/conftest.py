"""Web servers on loopback, plain and with TLS, for inputs that are fetched."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.consumer.remote.calls import HOST
from tests.consumer.web import Web, certificates, web


@pytest.fixture
async def site() -> AsyncIterator[Web]:
    async with web() as found:
        yield found


@pytest.fixture
async def secure(tmp_path: Path) -> AsyncIterator[tuple[Web, ssl.SSLContext]]:
    server, client = certificates(tmp_path, HOST)
    async with web(server) as found:
        yield found, client
