"""The events that Face2Face writes, and the control messages that it reads."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import AwareDatetime, Field

from schemas.render import AvatarFacts, EngineFacts, ErrorFacts, MediaFacts, Span
from schemas.request import Contract, JobId, Metadata


class OutputFacts(Contract):
    """The finished MP4 in the store."""

    url: str = Field(examples=["s3://face2face/results/order-4711/0f3c.mp4"])
    bucket: str
    key: str
    size: int = Field(description="bytes")
    sha256: str
    etag: str


class InputFacts(Contract):
    """One input as it was read."""

    url: str
    size: int = Field(description="bytes")
    sha256: str


class Completed(Contract):
    """The job is done (`ce_type` com.face2face.completed.v1). Enough on its own."""

    job_id: JobId
    render_id: str
    output: OutputFacts
    download_url: str | None = Field(None, description="presigned; made anew for each copy")
    download_url_expires_at: AwareDatetime | None = None
    media: MediaFacts
    engine: EngineFacts
    timings_ms: dict[str, float]
    quality: dict[str, Any] = Field(default_factory=dict)
    spans: list[Span] = Field(default_factory=list)
    warnings: list[str] = Field(default_factory=list)
    inputs: dict[Literal["audio", "video"], InputFacts]
    attempt: int
    reused: bool = Field(False, description="true on a copy that renders nothing again")
    labels: dict[str, Any] = Field(default_factory=dict)
    avatar: AvatarFacts | None = Field(None, description="null where nothing is ever kept")
    metadata: Metadata = Field(default_factory=dict)
    consent: dict[str, Any] | None = None
    finished_at: AwareDatetime


class Failed(Contract):
    """The job failed for good (`ce_type` com.face2face.failed.v1)."""

    job_id: JobId
    render_id: str | None = None
    error: ErrorFacts
    attempt: int
    max_attempts: int
    reused: bool = False
    metadata: Metadata = Field(default_factory=dict)
    consent: dict[str, Any] | None = None
    failed_at: AwareDatetime


class Progress(Contract):
    """A sign of life (`ce_type` com.face2face.progress.v1): at most every 2 s or 5 %."""

    job_id: JobId
    render_id: str
    stage: str
    percent: float = Field(ge=0, le=100)
    frames_done: int
    frames_total: int
    attempt: int
    at: AwareDatetime


class Control(Contract):
    """A wish of upstream about a job (`face2face.control`)."""

    job_id: JobId
    action: Literal["cancel"]
