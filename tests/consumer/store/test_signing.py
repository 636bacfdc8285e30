"""Temporary keys: with their token, from the services that give out keys, and when nobody does."""

from __future__ import annotations

import asyncio
import json
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from consumer.faults import Fault
from consumer.store.facts import NOTHING, Expiry
from consumer.store.storage import Storage
from schemas.codes import ErrorCode
from schemas.refs import ObjectRef
from tests.consumer.web import Web, reply, web
from tests.support.accounts import temporary
from tests.support.handles import S3Handle
from tests.support.work import settings_for


async def _use(storage: Storage, bucket: str, folder: Path) -> None:
    """Every kind of call that the service makes."""
    await storage.check()
    assert await storage.put(bucket, "inputs/k", b"data", over=NOTHING) is not None
    assert await storage.put(bucket, "inputs/k", b"other", over=NOTHING) is None
    (folder / "large").write_bytes(b"x" * 2_000_000)
    assert await storage.put_file(bucket, "inputs/large", folder / "large", "video/mp4")
    fetched = await storage.fetch(ObjectRef(bucket, "inputs/large"), folder / "back", 10**7)
    assert fetched.size == 2_000_000
    await storage.set_lifecycle(bucket, [Expiry("inputs/", 1)])
    assert (await storage.get_lifecycle(bucket)).expiries == (Expiry("inputs/", 1),)
    url, _ = await storage.presign_get(bucket, "inputs/k", 60)
    answer = await asyncio.to_thread(urllib.request.urlopen, url, timeout=120)
    assert answer.read() == b"data"
    await storage.remove(bucket, "inputs/k")


async def test_temporary_keys_work_with_their_token_and_not_without(
    s3: S3Handle, tmp_path: Path
) -> None:
    keys = await asyncio.to_thread(temporary, s3)
    named = {"S3_ACCESS_KEY": keys.access_key, "S3_SECRET_KEY": keys.secret_key}
    storage = Storage(settings_for(s3, tmp_path, **named, S3_SESSION_TOKEN=keys.session_token))
    await _use(storage, s3.bucket, tmp_path)
    storage.close()
    without = Storage(settings_for(s3, tmp_path, **named))
    with pytest.raises(Fault, match="does not take the service's keys") as caught:
        await without.put(s3.bucket, "k", b"")
    assert caught.value.error.retryable
    without.close()


@asynccontextmanager
async def _role(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, s3: S3Handle, **answer: Any
) -> AsyncIterator[tuple[Web, Storage]]:
    """A service that gives out keys as that of containers does, and a store that asks it."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_ACCESS_KEY", "AWS_WEB_IDENTITY_TOKEN_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    async with web() as site:
        site.answers["/keys"] = reply("200 OK", json.dumps(answer).encode())
        address = f"http://127.0.0.1:{site.port}/keys"
        monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", address)
        settings = settings_for(
            s3, tmp_path, S3_CREDENTIALS="aws", S3_ACCESS_KEY="", S3_SECRET_KEY=""
        )
        storage = Storage(settings)
        try:
            yield site, storage
        finally:
            storage.close()


async def _answer(s3: S3Handle, left: timedelta) -> dict[str, str]:
    keys = await asyncio.to_thread(temporary, s3)
    return {
        "AccessKeyId": keys.access_key,
        "SecretAccessKey": keys.secret_key,
        "Token": keys.session_token,
        "Expiration": (datetime.now(UTC) + left).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }


async def test_keys_of_a_role_are_asked_for_once_and_urls_end_with_them(
    s3: S3Handle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = await _answer(s3, timedelta(minutes=30))
    async with _role(monkeypatch, tmp_path, s3, **answer) as (site, storage):
        await _use(storage, s3.bucket, tmp_path)
        _, end = await storage.presign_get(s3.bucket, "k", 86_400)
        assert end <= datetime.now(UTC) + timedelta(minutes=30)
        assert len(site.requests) == 1


async def test_keys_of_a_role_are_renewed_before_they_end(
    s3: S3Handle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = await _answer(s3, timedelta(seconds=5))
    async with _role(monkeypatch, tmp_path, s3, **answer) as (site, storage):
        await storage.put(s3.bucket, "k", b"1")
        site.answers["/keys"] = reply(
            "200 OK", json.dumps(await _answer(s3, timedelta(hours=1))).encode()
        )
        asked = len(site.requests)
        await storage.put(s3.bucket, "k", b"2")
        await storage.put(s3.bucket, "k", b"3")
        assert len(site.requests) == asked + 1


async def test_where_nobody_gives_keys_an_input_is_not_called_missing(
    s3: S3Handle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with _role(monkeypatch, tmp_path, s3) as (site, storage):
        site.answers["/keys"] = reply("503 Service Unavailable", b"{}")
        for call in (
            storage.fetch(ObjectRef(s3.bucket, "k"), tmp_path / "k", 9),
            storage.put(s3.bucket, "k", b""),
            storage.presign_get(s3.bucket, "k", 60),
        ):
            with pytest.raises(Fault) as caught:
                await call
            assert caught.value.code is ErrorCode.STORE_UNAVAILABLE
            assert "503" in caught.value.error.message
