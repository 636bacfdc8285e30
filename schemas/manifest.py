"""The objects beside a result: the manifest (commit point) and the attempt marker (lease)."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import AwareDatetime, Field, model_validator

from schemas.events import Completed, Failed
from schemas.request import Contract, JobId, RenderRequest


class Manifest(Contract):
    """The one recorded outcome of a render: `results/<job_id>/<render_id>.json`.

    It holds the event whole, but no presigned URL: that is made anew at each announcement.
    """

    version: Literal[1] = 1
    job_id: JobId
    render_id: str
    event_id: str = Field(description="CloudEvents id of the outcome and of all its copies")
    outcome: Literal["completed", "failed"]
    completed: Completed | None = None
    failed: Failed | None = None
    request: RenderRequest
    generation: int = Field(0, description="how often a re-render was asked for")
    created_at: AwareDatetime

    @model_validator(mode="after")
    def _one_outcome(self) -> Self:
        """The event that `outcome` names is there, and no other."""
        there = {name for name in ("completed", "failed") if getattr(self, name) is not None}
        if there != {self.outcome}:
            raise ValueError(f"outcome is {self.outcome!r}, and there is {sorted(there)}")
        return self


class Lease(Contract):
    """Who works on a render now."""

    owner: str = Field(description="replica that holds the lease, unique per process start")
    token: str = Field(description="random per claim; a writer with another token has lost it")
    renewed_at: AwareDatetime
    ttl_s: float


class AttemptMarker(Contract):
    """Written before GPU work: `attempts/<job_id>/<wish id>.json`. Counts survive any death."""

    version: Literal[1] = 1
    job_id: JobId
    render_id: str
    attempt: int = Field(description="attempts started, this one included")
    lease: Lease | None = None
    last_error: str | None = None
    first_started_at: AwareDatetime
