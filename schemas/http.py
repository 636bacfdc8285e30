"""The HTTP side of the service: what `/v1/jobs` answers, for the gateway and for its clients."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Literal

from pydantic import AwareDatetime, Field

from schemas.events import Completed, Failed, Progress
from schemas.request import Contract, JobId, RenderRequest


class JobState(StrEnum):
    """Where a job is. `completed` and `failed` are final."""

    QUEUED = "queued"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"

    @property
    def final(self) -> bool:
        """True when nothing more will happen."""
        return self in (JobState.COMPLETED, JobState.FAILED)


class JobLinks(Contract):
    """Paths on the same gateway, or on any other replica."""

    job: str = Field(examples=["/v1/jobs/order-4711"])
    events: str
    result: str


class JobView(Contract):
    """What is known about a job now."""

    job_id: JobId
    state: JobState
    accepted_at: AwareDatetime | None = None
    progress: Progress | None = None
    completed: Completed | None = None
    failed: Failed | None = None
    links: JobLinks


class HttpCode(StrEnum):
    """Problems of the HTTP side alone; all others are codes of `schemas.codes`."""

    UNAUTHORIZED = "UNAUTHORIZED"
    FOREIGN_ORIGIN = "FOREIGN_ORIGIN"
    NOT_FOUND = "NOT_FOUND"
    METHOD_NOT_ALLOWED = "METHOD_NOT_ALLOWED"
    JOB_NOT_FOUND = "JOB_NOT_FOUND"
    JOB_CONFLICT = "JOB_CONFLICT"
    NO_RESULT = "NO_RESULT"
    BODY_TOO_LARGE = "BODY_TOO_LARGE"
    BODY_TOO_SLOW = "BODY_TOO_SLOW"
    BUSY = "BUSY"


HTTP_ADVICE: dict[HttpCode, str] = {
    HttpCode.UNAUTHORIZED: "Send the gateway's key as `Authorization: Bearer KEY` or `X-API-Key`.",
    HttpCode.FOREIGN_ORIGIN: "Call the gateway from its own page, or from a program.",
    HttpCode.NOT_FOUND: "See /docs for what the gateway offers.",
    HttpCode.METHOD_NOT_ALLOWED: "See /docs for what the gateway offers.",
    HttpCode.JOB_NOT_FOUND: "Check the job id; jobs are remembered for as long as their objects.",
    HttpCode.JOB_CONFLICT: "Use a job id of its own for each request.",
    HttpCode.NO_RESULT: "Only a completed job has one; GET the job to see its state.",
    HttpCode.BODY_TOO_LARGE: "Send media as multipart upload, or by location.",
    HttpCode.BODY_TOO_SLOW: "Send all that Content-Length announces, at once; then try again.",
    HttpCode.BUSY: "Call again in a while; more replicas of the gateway take more calls.",
}


class Problem(Contract):
    """Why a call did not work (RFC 9457, `application/problem+json`)."""

    type: Literal["about:blank"] = "about:blank"
    title: str
    status: int
    code: str = Field(description="stable; an error code of a job, or one of the HTTP side")
    detail: str
    advice: str
    extra: dict[str, Any] = Field(default_factory=dict)


class AcceptedRecord(Contract):
    """What any replica needs to find a job again: `inputs/jobs/<job_id>.json` in the bucket."""

    version: Literal[1] = 1
    request: RenderRequest
    accepted_at: AwareDatetime


def job_links(job_id: str) -> JobLinks:
    """The paths of a job."""
    base = f"/v1/jobs/{job_id}"
    return JobLinks(job=base, events=f"{base}/events", result=f"{base}/result")
