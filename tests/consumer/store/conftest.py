"""Stores to try: every one of this machine, or one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from consumer.store.storage import Storage
from tests.support.handles import S3Handle
from tests.support.work import settings_for


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
