"""`POST /api/generate_video`: takes and answers exactly what the earlier HTTP service did.

The status is 200 for every job that reached its end, with `success` true or false. Only a call that
never became a job has another status; its body has the same shape.
"""

from __future__ import annotations

import base64
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request
from starlette.concurrency import iterate_in_threadpool
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from consumer.faults import Fault
from consumer.http.gateway_inputs import Inputs
from consumer.http.gateway_jobs import parse, traceparent
from consumer.http.gateway_lookup import Book
from consumer.http.gateway_problems import CODE_HEADER, Refused, old_failure
from consumer.http.gateway_requests import Requests
from consumer.scratch import Scratch
from consumer.settings import Settings
from consumer.store.job_files import fetch_result
from consumer.store.storage import Storage
from schemas.codes import ErrorCode, Stage
from schemas.events import Completed, Failed
from schemas.http import HttpCode
from schemas.request import RenderRequest

JOB_HEADER = "X-Face2Face-Job-Id"
GRACE_S = 15.0
"""Beyond the job's deadline: the time to hear of its end."""
CHUNK = 3 * 256 * 1024
"""A multiple of 3, so that the pieces' base64 joins to that of the whole."""

_JOB_FAULTS = frozenset(
    {
        ErrorCode.INPUT_FORBIDDEN,
        ErrorCode.INPUT_NOT_FOUND,
        ErrorCode.INPUT_TOO_LARGE,
        ErrorCode.INPUT_UNREADABLE,
        ErrorCode.INPUT_UNREACHABLE,
    }
)
_SCHEMA = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "required": ["audio_url", "video_url"],
                    "properties": {
                        "audio_url": {"type": "string", "description": "http(s):// or s3://"},
                        "video_url": {"type": "string", "description": "http(s):// or s3://"},
                    },
                }
            }
        },
    }
}
_ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "the job's end",
        "content": {
            "application/json": {
                "examples": {
                    "done": {
                        "value": {
                            "success": True,
                            "video_data": "AAAAIGZ0eXBpc29t…",
                            "size": 123456,
                            "format": "mp4",
                        }
                    },
                    "failed": {"value": {"success": False, "error": "…"}},
                }
            }
        },
    }
}


_FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")
_EXPECTED = '{"audio_url": "s3://bucket/a.wav", "video_url": "s3://bucket/v.mp4"}'
"""The smallest body."""


class OldApi:
    """The handler and what it needs."""

    def __init__(
        self,
        settings: Settings,
        *,
        inputs: Inputs,
        requests: Requests,
        book: Book,
        storage: Storage,
        scratch: Scratch,
    ) -> None:
        self._timeout_s = settings.gateway_timeout_s
        self._inputs = inputs
        self._requests = requests
        self._book = book
        self._storage = storage
        self._scratch = scratch

    def router(self) -> APIRouter:
        """The route."""
        router = APIRouter(prefix="/api", tags=["compatibility"])
        router.add_api_route(
            "/generate_video",
            self.generate,
            methods=["POST"],
            openapi_extra=_SCHEMA,
            responses=_ANSWERS,
            summary="Render and wait; the answer holds the MP4 in base64",
        )
        # the old service redirected callers from here
        router.add_api_route(
            "/generate_video/", self.generate, methods=["POST"], include_in_schema=False
        )
        return router

    async def generate(self, request: Request) -> Response:
        """Send a job, wait for its end, answer with the video."""
        wanted = await _wanted(request)
        end = datetime.now(UTC) + timedelta(seconds=self._timeout_s)
        if wanted.deadline is None or wanted.deadline > end:
            wanted = wanted.model_copy(update={"deadline": end})
        try:
            wanted = await self._inputs.localise(wanted)
        except Fault as fault:
            if fault.code not in _JOB_FAULTS:
                raise
            return _failure(fault.error.message, fault.code, None)
        job_id = await self._requests.submit(wanted, traceparent(request))
        said = await self._wait(request, job_id, wanted)
        if isinstance(said, Failed):
            return _failure(said.error.message, said.error.code, job_id)
        try:
            return await self._video(said, job_id)
        except Fault as fault:
            if fault.code is not ErrorCode.INPUT_NOT_FOUND:
                raise
            text = (
                f"{said.output.url} is no longer in the store; results are kept for some days. "
                "Send the request again with another job_id."
            )
            return _failure(text, HttpCode.NO_RESULT, job_id)

    async def _wait(
        self, request: Request, job_id: str, wanted: RenderRequest
    ) -> Completed | Failed:
        assert wanted.deadline is not None, "given above"
        left_s = (wanted.deadline - datetime.now(UTC)).total_seconds()
        latest = time.monotonic() + left_s + GRACE_S  # a clock that is set meanwhile ends no wait
        async for heard in self._book.follow(job_id):
            if heard is not None and isinstance(heard.said, Completed | Failed):
                return heard.said
            if time.monotonic() > latest or await request.is_disconnected():
                break
        raise Fault.of(
            ErrorCode.DEADLINE_EXCEEDED,
            Stage.ANNOUNCE,
            f"job {job_id!r} did not end within {self._timeout_s:g} s (F2F_GATEWAY_TIMEOUT_S)",
        )

    async def _video(self, completed: Completed, job_id: str) -> Response:
        """Fetch the MP4 to disk first: once the answer has begun, it must not break off."""
        output = completed.output
        async with AsyncExitStack() as stack:
            folder = await stack.enter_async_context(self._scratch.job("gateway"))
            path = folder / "output.mp4"
            await fetch_result(self._storage, output, path)
            return _VideoAnswer(path, output.size, job_id, stack.pop_all())


class _VideoAnswer(StreamingResponse):
    """`{"success": true, "video_data": …, "size": …, "format": "mp4"}`, piece by piece."""

    def __init__(self, path: Path, size: int, job_id: str, stack: AsyncExitStack) -> None:
        head = b'{"success":true,"video_data":"'
        tail = b'","size":%d,"format":"mp4"}' % size
        length = len(head) + (size + 2) // 3 * 4 + len(tail)

        async def pieces() -> AsyncIterator[bytes]:
            yield head
            with path.open("rb") as source:
                async for piece in iterate_in_threadpool(iter(lambda: source.read(CHUNK), b"")):
                    yield base64.b64encode(piece)
            yield tail

        headers = {"Content-Length": str(length), JOB_HEADER: job_id, "Cache-Control": "no-store"}
        super().__init__(pieces(), HTTPStatus.OK, headers, "application/json")
        self._stack = stack

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send, and let go of the file whatever happens."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            await self._stack.aclose()


async def _wanted(request: Request) -> RenderRequest:
    """The request that a body holds, whatever it is declared to be; a form is told what is taken.

    Raises:
        Refused: INVALID_REQUEST.
    """
    body = await request.body()
    try:
        return parse(body)
    except Refused as refused:
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind not in _FORMS:
            raise
        text = f"the body is a form ({kind}); send JSON: {_EXPECTED}"
        raise Refused.of(ErrorCode.INVALID_REQUEST, text) from refused


def _failure(text: str, code: ErrorCode | HttpCode, job_id: str | None) -> Response:
    headers = {CODE_HEADER: code.value, "Cache-Control": "no-store"}
    if job_id is not None:
        headers[JOB_HEADER] = job_id
    return JSONResponse(old_failure(text), HTTPStatus.OK, headers)
