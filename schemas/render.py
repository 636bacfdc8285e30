"""What one render reports: the facts that the pipeline states and the completed event carries."""

from __future__ import annotations

from typing import Any, Literal, get_args

from pydantic import Field

from schemas.codes import ErrorCode, Stage
from schemas.request import Contract


class MediaFacts(Contract):
    """The output's streams, read back from the finished file."""

    width: int
    height: int
    fps: str = Field(description="exact frames per second as a ratio", examples=["25/1"])
    frames: int
    duration_s: float
    video_codec: str = "h264"
    audio_codec: str = "aac"
    audio_rate: int = Field(description="samples per second")


class WeightFacts(Contract):
    """One weights file that took part."""

    name: str
    revision: str
    sha256: str


class EngineFacts(Contract):
    """The engine that made the picture. `revision` changes whenever its pixels may change."""

    name: str
    version: str
    revision: str
    weights: list[WeightFacts] = Field(default_factory=list)
    device: str = "cpu"


SpanKind = Literal["no_face", "profile", "small_face", "occluded"]
"""Why frames pass unchanged. Later releases may have more, which readers take as they are."""


class Span(Contract):
    """A stretch of output frames that was treated differently."""

    kind: str = Field(examples=[*get_args(SpanKind)])
    start_frame: int = Field(description="first output frame, from 0")
    end_frame: int = Field(description="one past the last output frame")


class AvatarFacts(Contract):
    """What was kept of the reference's preparation, before this job and by it."""

    reused: bool = Field(description="nothing of the reference was prepared anew")
    track_reused: bool = Field(description="its face was not looked for again")
    frames: int = Field(description="frames of the reference that it covers, from the first")
    files: list[str] = Field(
        default_factory=list, description="its objects under `avatars/`, by the video's digest"
    )


class RenderReport(Contract):
    """Everything that one render says about itself."""

    media: MediaFacts
    engine: EngineFacts
    timings_ms: dict[str, float] = Field(description="wall milliseconds by stage, and 'total'")
    quality: dict[str, Any] = Field(default_factory=dict)
    spans: list[Span] = Field(default_factory=list)
    face: dict[str, Any] = Field(
        default_factory=dict, description="which face, how large, how many"
    )
    warnings: list[str] = Field(default_factory=list)
    labels: dict[str, Any] = Field(default_factory=dict)
    avatar: AvatarFacts | None = None


class ErrorFacts(Contract):
    """Why a job failed."""

    code: ErrorCode
    stage: Stage
    message: str = Field(max_length=4000)
    retryable: bool
    detail: dict[str, Any] = Field(default_factory=dict)
