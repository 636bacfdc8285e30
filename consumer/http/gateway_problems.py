"""Errors of the gateway: one exception, one JSON shape, and the old shape for the old path."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import Any

from starlette.responses import JSONResponse, Response

from consumer.faults import Fault
from schemas.codes import ErrorCode, facts
from schemas.http import HTTP_ADVICE, HttpCode, Problem
from schemas.render import ErrorFacts

OLD_PREFIX = "/api/"
CODE_HEADER = "X-Face2Face-Code"

_STATUS: dict[str, int] = {
    ErrorCode.INPUT_FORBIDDEN: HTTPStatus.FORBIDDEN,
    ErrorCode.INPUT_TOO_LARGE: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    ErrorCode.INPUT_UNREACHABLE: HTTPStatus.BAD_GATEWAY,
    ErrorCode.SCRATCH_FULL: HTTPStatus.SERVICE_UNAVAILABLE,
    ErrorCode.STORE_UNAVAILABLE: HTTPStatus.SERVICE_UNAVAILABLE,
    ErrorCode.STORE_DENIED: HTTPStatus.SERVICE_UNAVAILABLE,
    ErrorCode.STORE_FULL: HTTPStatus.SERVICE_UNAVAILABLE,
    ErrorCode.BROKER_UNAVAILABLE: HTTPStatus.SERVICE_UNAVAILABLE,
    ErrorCode.DEADLINE_EXCEEDED: HTTPStatus.GATEWAY_TIMEOUT,
    ErrorCode.OUTPUT_INVALID: HTTPStatus.INTERNAL_SERVER_ERROR,
    ErrorCode.INTERNAL: HTTPStatus.INTERNAL_SERVER_ERROR,
    HttpCode.UNAUTHORIZED: HTTPStatus.UNAUTHORIZED,
    HttpCode.FOREIGN_ORIGIN: HTTPStatus.FORBIDDEN,
    HttpCode.NOT_FOUND: HTTPStatus.NOT_FOUND,
    HttpCode.METHOD_NOT_ALLOWED: HTTPStatus.METHOD_NOT_ALLOWED,
    HttpCode.JOB_NOT_FOUND: HTTPStatus.NOT_FOUND,
    HttpCode.JOB_CONFLICT: HTTPStatus.CONFLICT,
    HttpCode.NO_RESULT: HTTPStatus.CONFLICT,
    HttpCode.BODY_TOO_LARGE: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    HttpCode.BODY_TOO_SLOW: HTTPStatus.REQUEST_TIMEOUT,
    HttpCode.BUSY: HTTPStatus.SERVICE_UNAVAILABLE,
}


class Refused(Exception):
    """A call that ends with a problem."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(f"{problem.code}: {problem.detail}")
        self.problem = problem

    @classmethod
    def of(cls, code: HttpCode | ErrorCode, detail: str, **extra: Any) -> Refused:
        """A refusal from its parts; status, title and advice follow from the code."""
        advice = HTTP_ADVICE[code] if isinstance(code, HttpCode) else facts(code).advice
        return cls(_problem(code.value, detail, advice, extra))

    @classmethod
    def by(cls, error: ErrorFacts | Fault) -> Refused:
        """A refusal from what a part of the service says; its message may hold the advice."""
        found = error.error if isinstance(error, Fault) else error
        advice = facts(found.code).advice
        detail = found.message.removesuffix(advice).rstrip()
        return cls(_problem(found.code.value, detail, advice, found.detail))


def _problem(code: str, detail: str, advice: str, extra: dict[str, Any]) -> Problem:
    status = _STATUS.get(code, HTTPStatus.UNPROCESSABLE_ENTITY)
    return Problem(
        title=HTTPStatus(status).phrase,
        status=int(status),
        code=code,
        detail=detail,
        advice=advice,
        extra=extra,
    )


def answer(problem: Problem, path: str) -> Response:
    """The problem in the shape of the path that was called."""
    headers = {CODE_HEADER: problem.code, "Cache-Control": "no-store"}
    if problem.status == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = "Bearer"
    if problem.code == HttpCode.BUSY:  # the place of this connection is somebody else's
        headers |= {"Retry-After": "5", "Connection": "close"}
    if path.startswith(OLD_PREFIX):
        text = f"{problem.detail.rstrip('.')}. {problem.advice}"  # one text is all it has
        return JSONResponse(old_failure(text), problem.status, headers)
    text = json.dumps(problem.model_dump(mode="json"), ensure_ascii=False)
    return Response(text, problem.status, headers, media_type="application/problem+json")


def old_failure(text: str) -> dict[str, Any]:
    """What the old service answered when it could not."""
    return {"success": False, "error": text}
