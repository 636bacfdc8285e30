"""Stores to try: every one of this machine, or one; and no long pauses between tries."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from consumer.remote import download
from consumer.store import sdk
from consumer.store.storage import Storage
from tests.support.handles import S3Handle
from tests.support.work import settings_for


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """A call is made as often as ever, without long pauses in between."""
    monkeypatch.setattr(sdk, "RETRY_PAUSES_S", (0.01, 0.01))
    monkeypatch.setattr(download, "PAUSE_S", 0.01)


@pytest.fixture
async def storage(every_s3: S3Handle, tmp_path: Path) -> AsyncIterator[Storage]:
    opened = Storage(settings_for(every_s3, tmp_path))
    yield opened
    opened.close()


@pytest.fixture
async def one(s3: S3Handle, tmp_path: Path) -> AsyncIterator[Storage]:
    opened = Storage(settings_for(s3, tmp_path))
    yield opened
    opened.close()
