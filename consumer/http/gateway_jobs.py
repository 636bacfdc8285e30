"""`/v1/jobs`: send, look, listen, cancel, fetch."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request
from starlette.responses import JSONResponse, RedirectResponse, Response, StreamingResponse

from consumer.faults import Fault
from consumer.http.gateway_guard import METHOD
from consumer.http.gateway_inputs import Inputs
from consumer.http.gateway_lookup import Book
from consumer.http.gateway_problems import Refused
from consumer.http.gateway_requests import Requests
from consumer.http.gateway_upload import receive
from consumer.jobs import Record
from consumer.kafka.admission import Rejection, admit
from consumer.kafka.untrusted_json import read_object
from consumer.scratch import Scratch
from consumer.settings import Settings
from schemas.codes import ErrorCode
from schemas.events import Completed, Failed, Progress
from schemas.http import HttpCode, JobState, JobView, Problem, job_links
from schemas.ids import event_id
from schemas.request import JOB_ID_PATTERN, RenderRequest

PLACEHOLDER = "s3://placeholder/upload"
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
_DOTS = (".", "..")
"""Segments of a path that browsers and curl resolve (RFC 3986, 5.2.4), also when escaped."""
JobIdPath = Annotated[str, Path(pattern=JOB_ID_PATTERN)]

_PROBLEMS: dict[int | str, dict[str, Any]] = {
    401: {"model": Problem},
    404: {"model": Problem},
    422: {"model": Problem},
    503: {"model": Problem},
}
_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {"schema": {"$ref": "#/components/schemas/RenderRequest"}},
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["audio", "video"],
                    "properties": {
                        "audio": {"type": "string", "format": "binary"},
                        "video": {"type": "string", "format": "binary"},
                        "request": {
                            "type": "string",
                            "description": "JSON of the other fields: job_id, engine, options, …",
                        },
                    },
                }
            },
        },
    }
}


def parse(body: bytes, **located: str) -> RenderRequest:
    """A request from JSON text, as strictly as the service itself reads its topic.

    Args:
        located: fields that are put in, because an upload has no locations yet.

    Raises:
        Refused: INVALID_REQUEST, with the field and the rule.
    """
    if located:
        body = _put_in(body, located)
    read = admit(Record("http", 0, 0, None, body, (), 0))
    if isinstance(read, Rejection):
        raise Refused.by(read.error)
    return read.request


def _linked(request: RenderRequest) -> RenderRequest:
    """The request, unless its id would be lost in the links that the answer holds.

    Raises:
        Refused: INVALID_REQUEST.
    """
    if request.job_id in _DOTS:
        text = f"field 'job_id' = {request.job_id!r}: clients take it out of URLs; choose another"
        raise Refused.of(ErrorCode.INVALID_REQUEST, text, field="job_id")
    return request


def _put_in(body: bytes, located: dict[str, str]) -> bytes:
    try:
        data = read_object(body or b"{}")
    except Fault as fault:
        text = f"part 'request': {fault.what}"
        raise Refused.of(ErrorCode.INVALID_REQUEST, text, **fault.error.detail) from fault
    return json.dumps({**data, **located}).encode()


def traceparent(request: Request) -> str | None:
    """The caller's trace, when it is one."""
    given = request.headers.get("traceparent", "")
    return given if _TRACEPARENT.fullmatch(given) else None


class Jobs:
    """The handlers and what they need."""

    def __init__(
        self, settings: Settings, inputs: Inputs, requests: Requests, book: Book, scratch: Scratch
    ) -> None:
        self._settings = settings
        self._inputs = inputs
        self._requests = requests
        self._book = book
        self._scratch = scratch

    def router(self) -> APIRouter:
        """The routes."""
        router = APIRouter(prefix="/v1/jobs", tags=["jobs"], responses=_PROBLEMS)
        router.add_api_route(
            "",
            self.create,
            methods=["POST"],
            status_code=202,
            response_model=JobView,
            openapi_extra=_BODY,
            summary="Send a job, by locations (JSON) or with its two files (multipart)",
        )
        router.add_api_route(
            "/{job_id}",
            self.view,
            response_model=JobView,
            summary="Ask for a job: its state, its progress, its outcome",
        )
        router.add_api_route(
            "/{job_id}/events",
            self.events,
            summary="Listen: server-sent events progress, completed, failed; ends with the outcome",
            response_class=StreamingResponse,
            responses={204: {"description": "Last-Event-ID is the outcome's: no more will come"}},
        )
        router.add_api_route(
            "/{job_id}",
            self.cancel,
            methods=["DELETE"],
            status_code=202,
            response_model=JobView,
            summary="Ask the service to stop a job",
        )
        router.add_api_route(
            "/{job_id}/result",
            self.result,
            status_code=307,
            response_class=RedirectResponse,
            responses={409: {"model": Problem}},
            summary="Fetch: a redirect to a URL of the store that serves the MP4 for a while",
        )
        return router

    async def create(self, request: Request) -> Response:
        """Accept a job."""
        kind = request.headers.get("content-type", "")
        if kind.lower().startswith("multipart/"):
            wanted = await self._take_upload(request)
        else:
            wanted = _linked(parse(await request.body()))
        job_id = await self._requests.submit(wanted, traceparent(request))
        view = JobView(job_id=job_id, state=JobState.QUEUED, links=job_links(job_id))
        return _json(view, HTTPStatus.ACCEPTED, {"Location": view.links.job})

    async def _take_upload(self, request: Request) -> RenderRequest:
        self._inputs.check_room()
        async with self._scratch.job("gateway") as folder:
            limit, room = self._settings.max_input_bytes, self._inputs.check_room
            upload = await receive(request, folder, limit, room)
            text = bytes(upload.texts.get("request", b""))
            # Checked before anything is put into the store.
            _linked(parse(text, audio_url=PLACEHOLDER, video_url=PLACEHOLDER))
            urls = {}
            for name, file in upload.files.items():
                urls[f"{name}_url"] = await self._inputs.store(file.path, file.sha256, file.suffix)
                file.path.unlink(missing_ok=True)
        return parse(text, **urls)

    async def view(self, job_id: JobIdPath) -> Response:
        """State, progress and outcome."""
        return _json(await self._find(job_id))

    async def events(self, job_id: JobIdPath, request: Request) -> Response:
        """Server-sent events (WHATWG HTML, 9.2).

        A reader connects again when the stream ends; one that has the outcome is told to stop.
        """
        view = await self._find(job_id)
        known = view.completed or view.failed
        if known is not None and request.headers.get("last-event-id") == _outcome_id(known):
            return Response(status_code=HTTPStatus.NO_CONTENT)
        return StreamingResponse(
            self._stream(view),
            media_type="text/event-stream",
            headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
        )

    async def _stream(self, view: JobView) -> AsyncIterator[bytes]:
        yield b"retry: 2000\n\n"
        known = view.completed or view.failed
        if known is not None:
            yield _event(known, _outcome_id(known))
            return
        async for heard in self._book.follow(view.job_id):
            if heard is None:
                yield b": still here\n\n"
                continue
            named = _outcome_id(heard.said) if heard.final else heard.event_id
            yield _event(heard.said, named)

    async def cancel(self, job_id: JobIdPath) -> Response:
        """Send the wish to every replica; the outcome will be `failed` with CANCELLED."""
        view = await self._find(job_id)
        if not view.state.final:
            await self._requests.cancel(job_id)
        return _json(view, HTTPStatus.ACCEPTED)

    async def result(self, job_id: JobIdPath, request: Request) -> Response:
        """Redirect to the MP4."""
        view = await self._find(job_id)
        if view.completed is None or view.completed.download_url is None:
            why = f"failed: {view.failed.error.message}" if view.failed else view.state.value
            raise Refused.of(HttpCode.NO_RESULT, f"job {job_id!r} has no result; it is {why}")
        url = view.completed.download_url
        if request.scope.get(METHOD) == "HEAD":  # who follows asks the store by HEAD, too
            url = await self._book.head_url(view.completed)
        return RedirectResponse(url, HTTPStatus.TEMPORARY_REDIRECT, {"Cache-Control": "no-store"})

    async def _find(self, job_id: str) -> JobView:
        view = await self._book.find(job_id)
        if view is None:
            raise Refused.of(HttpCode.JOB_NOT_FOUND, f"no job {job_id!r} is known")
        return view


def _json(
    view: JobView, status: int = HTTPStatus.OK, headers: dict[str, str] | None = None
) -> Response:
    content = view.model_dump(mode="json", exclude_none=True)
    return JSONResponse(content, status, {"Cache-Control": "no-store", **(headers or {})})


def _outcome_id(said: Progress | Completed | Failed) -> str:
    """The `ce_id` of an outcome, which all its copies bear, whoever heard them."""
    kind = "completed" if isinstance(said, Completed) else "failed"
    return event_id(said.job_id, said.render_id or "rejected", kind)


def _event(said: Progress | Completed | Failed, event_id: str) -> bytes:
    lines = [f"id: {event_id}"] if event_id and event_id.isprintable() else []
    lines += [f"event: {type(said).__name__.lower()}", f"data: {said.model_dump_json()}"]
    return ("\n".join(lines) + "\n\n").encode()
