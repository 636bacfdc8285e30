"""The HTTP bridge as an app: stateless, any number of replicas, nothing kept but what is in flight.

call ─ guard ─┬─ inputs and note → store
              └─ request → topic ─> service ─> events ─ hub ─ book ─> answer
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from http import HTTPStatus
from importlib.metadata import version
from typing import Any
from urllib.parse import urlsplit

from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Match

from consumer.background import in_background
from consumer.faults import Fault
from consumer.http.gateway_guard import Guard
from consumer.http.gateway_health import Health
from consumer.http.gateway_hub import Hub
from consumer.http.gateway_inputs import Inputs
from consumer.http.gateway_jobs import Jobs
from consumer.http.gateway_legacy import OldApi
from consumer.http.gateway_lookup import Book
from consumer.http.gateway_page import routes
from consumer.http.gateway_problems import Refused, answer
from consumer.http.gateway_requests import Requests
from consumer.json_findings import reason
from consumer.remote.addresses import HostRefused, check_host, is_loopback_host
from consumer.scratch import Scratch
from consumer.settings import Settings, SettingsError
from consumer.store.storage import Storage
from schemas.codes import ErrorCode
from schemas.http import HttpCode
from schemas.request import RenderRequest

_METHODS = ("DELETE", "GET", "POST")
"""Those of the routes; `Guard` makes HEAD of GET."""


def check_settings(settings: Settings) -> None:
    """Refuse to serve beyond this machine without a key.

    Raises:
        SettingsError: names both settings.
    """
    if settings.api_key is not None:
        return
    try:
        local = is_loopback_host(check_host(settings.gateway_host))
    except HostRefused:
        local = False
    if not local:
        raise SettingsError(
            f"F2F_GATEWAY_HOST = {settings.gateway_host!r}: an address beyond loopback needs "
            "F2F_API_KEY (or F2F_API_KEY_FILE); or bind to 127.0.0.1"
        )


def make_app(settings: Settings) -> FastAPI:
    """The gateway's app; its parts start and end with it (ASGI lifespan).

    Raises:
        SettingsError: see `check_settings`.
    """
    check_settings(settings)
    parts = _Parts.of(settings)
    app = FastAPI(
        title="Face2Face",
        version=version("face2face"),
        summary="Speech and a reference video in, a lip-synced MP4 out.",
        lifespan=lambda _: parts.running(),
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,  # its absolute URL would take a key from https:// to http://
        separate_input_output_schemas=False,
    )
    for router in parts.routers(settings):
        app.include_router(router)
    app.router.routes.extend(routes())
    _add_errors(app)
    _describe(app, keyed=settings.api_key is not None)
    app.add_middleware(Guard, settings=settings, media_origin=_media_origin(settings))
    return app


@dataclass(frozen=True, slots=True)
class _Parts:
    """What the routes share."""

    storage: Storage
    hub: Hub
    scratch: Scratch
    inputs: Inputs
    requests: Requests
    book: Book

    @classmethod
    def of(cls, settings: Settings) -> _Parts:
        """The parts, not yet running."""
        storage, hub, scratch = Storage(settings), Hub(settings), Scratch(settings)
        inputs = Inputs(settings, storage, scratch)
        requests, book = Requests(settings, storage, hub), Book(settings, storage, hub)
        return cls(storage, hub, scratch, inputs, requests, book)

    def routers(self, settings: Settings) -> tuple[APIRouter, ...]:
        """The routes on them."""
        old = OldApi(
            settings,
            inputs=self.inputs,
            requests=self.requests,
            book=self.book,
            storage=self.storage,
            scratch=self.scratch,
        )
        jobs = Jobs(settings, self.inputs, self.requests, self.book, self.scratch)
        health = Health(settings, self.storage, self.scratch, self.hub)
        return jobs.router(), old.router(), health.router()

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Start them, and end them and their files on the way out."""
        self.scratch.open()
        try:
            async with in_background({"hub": self.hub.run, "janitor": self.scratch.run_janitor}):
                yield
        finally:
            await self.requests.close()
            self.storage.close()
            self.scratch.close()


def _media_origin(settings: Settings) -> str:
    parts = urlsplit(settings.s3_public_endpoint or settings.s3_endpoint)
    return f"{parts.scheme}://{parts.netloc}"


def _add_errors(app: FastAPI) -> None:
    """Every error as a problem, whoever raises it."""

    @app.exception_handler(Refused)
    async def refused(request: Request, error: Refused) -> Response:
        return answer(error.problem, request.url.path)

    @app.exception_handler(Fault)
    async def fault(request: Request, error: Fault) -> Response:
        return answer(Refused.by(error).problem, request.url.path)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        text = "; ".join(f"{line['loc'][-1]} {reason(line)}" for line in error.errors())
        refusal = Refused.of(ErrorCode.INVALID_REQUEST, text)
        return answer(refusal.problem, request.url.path)

    @app.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> Response:
        known = {
            HTTPStatus.NOT_FOUND: HttpCode.NOT_FOUND,
            HTTPStatus.METHOD_NOT_ALLOWED: HttpCode.METHOD_NOT_ALLOWED,
        }
        code = known.get(HTTPStatus(error.status_code), ErrorCode.INVALID_REQUEST)
        refusal = Refused.of(code, f"{request.method} {request.url.path[:80]}: {error.detail}")
        said = answer(refusal.problem, request.url.path)
        said.headers.update(error.headers or {})
        if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
            said.headers["Allow"] = ", ".join(_served(app, request))
        return said

    @app.exception_handler(500)
    async def defect(request: Request, error: Exception) -> Response:
        text = f"a defect of the gateway: {type(error).__name__}"
        return answer(Refused.of(ErrorCode.INTERNAL, text).problem, request.url.path)


def _served(app: FastAPI, request: Request) -> list[str]:
    """All methods of a path, which a 405 must name (RFC 9110): several routes may serve it."""
    asked = {"type": "http", "path": request.url.path, "headers": []}
    found = [
        method
        for method in _METHODS
        if any(r.matches({**asked, "method": method})[0] is Match.FULL for r in app.routes)
    ]
    return [*found, "HEAD"] if "GET" in found else found


def _describe(app: FastAPI, *, keyed: bool) -> None:
    """Complete the OpenAPI document: bodies that are read by hand, and the key."""
    made = app.openapi

    def openapi() -> dict[str, Any]:
        document = made()
        parts = document.setdefault("components", {})
        schema = RenderRequest.model_json_schema(ref_template="#/components/schemas/{model}")
        schemas = parts.setdefault("schemas", {})
        schemas.update(schema.pop("$defs", {}))
        schemas["RenderRequest"] = schema
        parts["securitySchemes"] = {
            "bearer": {"type": "http", "scheme": "bearer"},
            "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
        }
        if keyed:
            document["security"] = [{"bearer": []}, {"key": []}]
        return document

    app.openapi = openapi  # type: ignore[method-assign]
