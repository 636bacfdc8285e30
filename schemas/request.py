"""The request: what upstream puts on `face2face.requests`.

The smallest message is what the HTTP service took:
`{"audio_url": "s3://bucket/a.wav", "video_url": "s3://bucket/v.mp4"}`.
Unknown fields are accepted and ignored; unknown values are refused by name.
"""

from __future__ import annotations

import re
from datetime import datetime
from enum import StrEnum
from fractions import Fraction
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    field_validator,
    model_validator,
)

from schemas.refs import RefStr, check_bucket, check_key

JOB_ID_PATTERN = r"^[A-Za-z0-9._-]{1,128}$"
MAX_METADATA_ENTRIES = 64
MAX_TRANSCRIPT_CHARS = 20_000
_DATE = re.compile(r"[0-9]{4}-")
_HUGE_EXPONENT = re.compile(r"[eE][+-]?[\d_]{4}")

JobId = Annotated[str, Field(pattern=JOB_ID_PATTERN, examples=["order-4711"])]
"""Identity of a job: 1 to 128 of A-Z a-z 0-9 . _ -"""


class Contract(BaseModel):
    """Base of every contract: frozen, tolerant of unknown fields, None never sent as a value."""

    model_config = ConfigDict(frozen=True, extra="ignore", ser_json_inf_nan="null")


class Asked(Contract):
    """Base of what upstream writes: a field that is null is as good as none.

    Many serialisers write every field that they know.
    """

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        return {name: value for name, value in data.items() if value is not None}


def _number(value: Any) -> Any:
    """Refuse true and false, which Python takes for 1 and 0."""
    if isinstance(value, bool):
        raise ValueError("must be a whole number")
    return value


class Loop(StrEnum):
    """What the picture does when the speech is longer than the reference."""

    PINGPONG = "pingpong"
    REPEAT = "repeat"
    HOLD = "hold"


Finite = Annotated[float, BeforeValidator(_number), Field(allow_inf_nan=False)]


class FaceBox(Contract):
    """Choose the face nearest to a box, in pixels of the upright reference: x0, y0, x1, y1."""

    box: tuple[Finite, Finite, Finite, Finite] = Field(examples=[[100, 80, 300, 320]])


def _one_of_both(value: Any, read: ValidatorFunctionWrapHandler) -> Any:
    """Say once what a face may be, and not what is wrong with it as this and as that."""
    try:
        return read(value)
    except ValidationError:
        raise ValueError(
            'must be "largest", or {"box": [x0, y0, x1, y1]} of finite numbers, in pixels'
        ) from None


Face = Annotated[Literal["largest"] | FaceBox, WrapValidator(_one_of_both)]


class LabelOptions(Asked):
    """The visible label in the picture."""

    visible: bool = True
    text: str = Field("AI", min_length=1, max_length=40)
    position: Literal["top-left", "top-right", "bottom-left", "bottom-right"] = "bottom-right"


def _rational(value: Any) -> Any:
    """Take 25, 29.97, "30000/1001"; keep the text, so that no digit is lost on the way."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    return value


def _check_fps(value: str) -> str:
    try:
        if _HUGE_EXPONENT.search(value):  # `Fraction` would write out the power, for hours
            raise ValueError(value)
        fps = Fraction(value)
    except (ValueError, ZeroDivisionError) as error:
        raise ValueError(
            f"fps {value!r} is not a number or ratio such as 25 or 30000/1001"
        ) from error
    if not 1 <= fps <= 120:
        raise ValueError(f"fps {value!r} is outside 1 to 120")
    return value


FpsStr = Annotated[
    str,
    BeforeValidator(_rational, json_schema_input_type=str | int | float),
    AfterValidator(_check_fps),
    Field(max_length=32, examples=["25"]),
]
"""Frames per second as an exact decimal or ratio, 1 to 120."""

_KNOWN_RATES = [Fraction(n * 1000, 1001) for n in (24, 30, 48, 60, 120)]


def exact_fps(text: str) -> Fraction:
    """The exact rate of `FpsStr`; 29.97 and its kin mean 30000/1001, as SMPTE has it."""
    rate = Fraction(text).limit_denominator(100_000)
    for known in _KNOWN_RATES:
        if abs(rate - known) < Fraction(1, 200):
            return known
    return rate


class RenderOptions(Asked):
    """How to render. Every field has a default; what is not named keeps the source's own value."""

    loop: Loop = Loop.PINGPONG
    face: Face = "largest"
    fps: FpsStr | None = None
    crf: int = Field(18, ge=0, le=40, description="x264 constant rate factor, lower is better")
    max_height: int | None = Field(
        None, ge=64, le=4320, description="scale down to this height, px"
    )
    label: LabelOptions | None = None
    enhance: bool = Field(False, description="super-resolution, where the engine has it (duix)")
    watermark: bool = Field(
        False, description="the engine's own watermark, where it has one (duix)"
    )
    transcript: str | None = Field(None, max_length=MAX_TRANSCRIPT_CHARS)

    _numbers = field_validator("crf", "max_height", mode="before")(_number)


def _check_output_bucket(value: str | None) -> str | None:
    return value if value is None else check_bucket(value)


def _check_prefix(value: str) -> str:
    return check_key(value.rstrip("/")) + "/" if value else value


class OutputTarget(Asked):
    """Where the MP4 and its manifest go: `<prefix>results/<job_id>/<render_id>.mp4`."""

    bucket: Annotated[str | None, AfterValidator(_check_output_bucket)] = None
    prefix: Annotated[str, AfterValidator(_check_prefix), Field(max_length=512)] = ""


Metadata = Annotated[
    dict[Annotated[str, Field(max_length=128)], Annotated[str, Field(max_length=2048)]],
    Field(max_length=MAX_METADATA_ENTRIES),
]
"""Text by text, echoed back in the outcome of the job."""


def _written(value: Any) -> Any:
    """Refuse a bare number: as seconds of some clock, a date such as 20261201 lies in 1970."""
    text = value.strip() if isinstance(value, str) else value
    if isinstance(text, int | float) or (isinstance(text, str) and not _DATE.match(text)):
        raise ValueError("must be a time with an offset (RFC 3339), such as 2026-12-01T10:00:00Z")
    return value


Instant = Annotated[AwareDatetime, BeforeValidator(_written)]


class RenderRequest(Asked):
    """One job, version 1 (`ce_type` com.face2face.request.v1)."""

    audio_url: RefStr
    video_url: RefStr
    job_id: JobId | None = None
    output: OutputTarget = OutputTarget()
    engine: str | None = Field(None, pattern=r"^[a-z0-9][a-z0-9-]{0,39}$", examples=["viseme"])
    options: RenderOptions = RenderOptions()
    deadline: Instant | None = Field(
        None, description="no result is wanted after this instant (RFC 3339 with offset)"
    )
    metadata: Metadata = Field(default_factory=dict)
    consent: dict[str, Any] | None = Field(
        None, description="who agreed to what; echoed back and written into the manifest"
    )

    def expired(self, now: datetime) -> bool:
        """True when the deadline has passed at `now` (aware)."""
        return self.deadline is not None and now >= self.deadline
