"""A store that is away, is none, or lives at another time is named for what it is."""

from __future__ import annotations

import asyncio
import ssl
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest

from consumer.faults import Fault
from consumer.store.storage import Storage
from schemas.codes import ErrorCode
from schemas.refs import ObjectRef
from tests.consumer.store.calls import LIMIT
from tests.consumer.web import Answer, reply, web
from tests.support.certificates import make
from tests.support.handles import S3Handle
from tests.support.work import settings_for


async def test_a_server_that_is_away_is_typed_and_worth_a_retry(tmp_path: Path) -> None:
    gone = S3Handle("gone", "http://127.0.0.1:9", "a", "b", frozenset(), "bucket")
    storage = Storage(settings_for(gone, tmp_path))
    for call in (
        storage.fetch(ObjectRef("bucket", "k"), tmp_path / "t", LIMIT),
        storage.get("bucket", "k"),
        storage.put("bucket", "k", b"x"),
        storage.check(),
    ):
        with pytest.raises(Fault) as caught:
            await call
        assert caught.value.code is ErrorCode.STORE_UNAVAILABLE
        assert caught.value.error.retryable


async def _greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    writer.close()


@pytest.mark.parametrize(
    ("secure", "said"),
    [
        (True, "its certificate is not trusted (unable to get local issuer certificate)"),
        (False, "see whether S3_ENDPOINT is http or https"),
    ],
)
async def test_a_store_whose_tls_does_not_come_about_is_told_why(
    tmp_path: Path, secure: bool, said: str
) -> None:
    signed = make(tmp_path / "certificates")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(signed.certificate, signed.key)
    server = await asyncio.start_server(_greet, "127.0.0.1", 0, ssl=context if secure else None)
    async with server:
        port = server.sockets[0].getsockname()[1]
        there = S3Handle("there", f"https://127.0.0.1:{port}", "a", "b", frozenset(), "bucket")
        storage = Storage(settings_for(there, tmp_path))
        with pytest.raises(Fault) as caught:
            await storage.check()
        storage.close()
    assert caught.value.code is ErrorCode.STORE_UNAVAILABLE
    assert said in caught.value.what


@pytest.mark.parametrize(
    "page",
    [
        reply("200 OK", b"<html><body>It works!</body></html>", Content_Type="text/html"),
        reply("404 Not Found", b"not here", Content_Type="text/plain"),
        reply("200 OK", b"<Cut", Content_Type="application/xml"),
    ],
    ids=["a page", "a missing page", "half an answer"],
)
async def test_something_else_in_the_store_s_place_is_typed_too(
    tmp_path: Path, page: Answer
) -> None:
    async with web() as site:
        site.answers = {"/bucket": page, "/": page}
        address = f"http://127.0.0.1:{site.port}"
        other = S3Handle("other", address, "a", "b", frozenset(), "bucket")
        storage = Storage(settings_for(other, tmp_path))
        with pytest.raises(Fault, match="what answers is no S3 store") as caught:
            await storage.list_objects("bucket", "results/")
        assert caught.value.code is ErrorCode.STORE_UNAVAILABLE
        assert "prefix 'results/' in bucket 'bucket'" in caught.value.what
        with pytest.raises(Fault) as caught:
            await storage.server_time()
        assert caught.value.code is ErrorCode.STORE_UNAVAILABLE
        storage.close()


@pytest.mark.parametrize(
    ("status", "said"),
    [("403 Forbidden", "QuotaExceeded"), ("400 Bad Request", "XMinioAdminBucketQuotaExceeded")],
)
async def test_a_bucket_without_room_is_no_right_that_is_missing(
    tmp_path: Path, status: str, said: str
) -> None:
    xml = f"<Error><Code>{said}</Code><Message>.</Message></Error>".encode()
    async with web() as site:
        site.answers = {"/bucket/k": reply(status, xml, Content_Type="application/xml")}
        address = f"http://127.0.0.1:{site.port}"
        other = S3Handle("other", address, "a", "b", frozenset(), "bucket")
        storage = Storage(settings_for(other, tmp_path))
        with pytest.raises(Fault) as caught:
            await storage.put("bucket", "k", b"x")
        storage.close()
    assert (caught.value.code, caught.value.error.retryable) == (ErrorCode.STORE_FULL, True)
    assert "bucket 'bucket'" in caught.value.what


@pytest.mark.parametrize(("minutes", "where"), [(20, "behind"), (-20, "ahead of")])
async def test_a_clock_that_is_off_is_named_where_the_store_refuses_it(
    tmp_path: Path, minutes: int, where: str
) -> None:
    """An answer to HEAD has no body, so it only says 403: it looked as if rights were missing."""
    date = format_datetime(datetime.now(UTC) + timedelta(minutes=minutes), usegmt=True)
    xml = b"<Error><Code>RequestTimeTooSkewed</Code><Message>.</Message></Error>"
    async with web() as site:
        site.answers = {
            "/bucket": reply("403 Forbidden", Date=date),
            "/bucket/k": reply("403 Forbidden", xml, Content_Type="application/xml", Date=date),
        }
        address = f"http://127.0.0.1:{site.port}"
        other = S3Handle("other", address, "a", "b", frozenset(), "bucket")
        storage = Storage(settings_for(other, tmp_path))
        for call in (
            storage.check,
            lambda: storage.get("bucket", "k"),
            lambda: storage.put("bucket", "k", b""),
        ):
            said = rf"this machine's clock is 20 min {where} the store's; let NTP"
            with pytest.raises(Fault, match=said) as caught:
                await call()
            assert caught.value.code is ErrorCode.STORE_UNAVAILABLE
        storage.close()
