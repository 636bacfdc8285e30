"""What the parent and its worker child say to each other: one JSON object per line, tagged `kind`.

    parent → child   render · cancel · look     (the pipe's end means: leave)
    child → parent   ready · unready · engines · beat · done · broken

Messages are frozen. Both ends come from one release, so there is no version; a snapshot test per
message shows every change.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from schemas.device import DeviceMemory, Way
from schemas.render import EngineFacts, ErrorFacts, RenderReport
from schemas.request import RenderOptions

PIPELINE = "pipeline.render:render"
"""MODULE:FUNCTION that a child renders with, where no test has another one."""
EXIT_STICKY = 71
"""Of a child whose device cannot be used by its process any more."""
MAX_LINE = 16 * 1024 * 1024
"""Longest message, bytes: a report carries spans, at worst one for every few frames."""


@dataclass(frozen=True, slots=True)
class Start:
    """How a child begins; its command line says so."""

    renderer: str = PIPELINE
    warm: str | None = None
    """The engine of jobs that name none, made ready before the first job."""
    processors: int = 0
    """For all its jobs; 0 for all that there are."""
    networks: Way = "compiled"
    """The best way that they may run on a GPU."""

    def arguments(self, device: str) -> list[str]:
        """Of the command line."""
        warm = ["--warm", self.warm] if self.warm else []
        return [
            *("--device", device, "--render", self.renderer, *warm),
            *("--processors", str(self.processors), "--networks", self.networks),
        ]


class Message(BaseModel):
    """Base of all messages."""

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="null")


class RenderLimits(Message):
    """`pipeline.types.Limits` as far as the settings decide them."""

    max_pixels: int
    max_video_s: float
    max_audio_s: float
    max_bytes: int


class RenderMarks(Message):
    """Which labels the settings want, beside the visible one of the request's options."""

    container: bool = True
    producer: str | None = Field(None, description="AIGC ContentProducer; None: Face2Face")
    credentials: bool = False
    watermark: bool = False
    certificate: str | None = Field(None, description="PEM chain; None: a development certificate")
    key: str | None = Field(None, description="PEM key of that certificate")
    identity_dir: str = Field("", description="where the development certificate is kept")
    consent: dict[str, Any] | None = Field(None, description="goes into the signed manifest")


class RenderAvatars(Message):
    """`pipeline.types.AvatarFolder`: where prepared references are kept."""

    folder: str
    max_bytes: int
    keep_free: int


class Render(Message):
    """Start one render. Paths are absolute; `scratch` exists."""

    kind: Literal["render"] = "render"
    run: str = Field(description="identity of this run, unique per parent process")
    job_id: str
    audio: str
    video: str
    output: str
    scratch: str
    engine: str
    options: RenderOptions
    limits: RenderLimits
    threads: int
    budget_s: float = Field(description="wall seconds after which it stops itself")
    marks: RenderMarks = RenderMarks()
    avatars: RenderAvatars | None = None
    video_sha256: str | None = None


class Cancel(Message):
    """Stop one render soon; it answers `broken` with CANCELLED."""

    kind: Literal["cancel"] = "cancel"
    run: str


class Look(Message):
    """Say which engines can run by now; it answers `engines`."""

    kind: Literal["look"] = "look"


class _Told(Message):
    engines: list[EngineFacts]
    missing: dict[str, ErrorFacts] = Field(
        default_factory=dict, description="engines known by name that cannot run here, and why"
    )
    avatars: dict[str, list[str]] = Field(
        default_factory=dict, description="folders of kept avatars by engine that prepares"
    )


class Engines(_Told):
    """What can run on the child's machine by now."""

    kind: Literal["engines"] = "engines"


class Ready(_Told):
    """The child can render. Sent once, after its imports."""

    kind: Literal["ready"] = "ready"
    pid: int
    device: str
    memory: DeviceMemory | None = Field(None, description="of a GPU, when its engine is warm")
    networks: dict[str, Way] = Field(default_factory=dict, description="how each runs on a GPU")
    slowed: list[str] = Field(default_factory=list, description="of these, more slowly than tried")

    def by_now(self, told: Engines) -> Ready:
        """The same with the engines that it told of later."""
        later = {name: getattr(told, name) for name in _Told.model_fields}
        return self.model_copy(update=later)


class Unready(Message):
    """The child cannot render at all and ends; the error says what to do."""

    kind: Literal["unready"] = "unready"
    error: ErrorFacts


class RunTick(Message):
    """How far one render is."""

    run: str
    stage: str
    done: int
    total: int


class Beat(Message):
    """A sign of life, about once a second, from a thread of its own."""

    kind: Literal["beat"] = "beat"
    runs: list[RunTick] = Field(default_factory=list)
    memory: DeviceMemory | None = Field(None, description="of a GPU, by now")
    networks: dict[str, Way] = Field(default_factory=dict, description="how each runs on a GPU")
    slowed: list[str] = Field(default_factory=list, description="of these, more slowly than tried")


class Done(Message):
    """The file is at the output path, verified."""

    kind: Literal["done"] = "done"
    run: str
    report: RenderReport


class Broken(Message):
    """The render ended without a file."""

    kind: Literal["broken"] = "broken"
    run: str
    error: ErrorFacts


Order = Render | Cancel | Look
Answer = Ready | Unready | Engines | Beat | Done | Broken
FromParent = Annotated[Order, Field(discriminator="kind")]
FromChild = Annotated[Answer, Field(discriminator="kind")]

_FROM_PARENT: TypeAdapter[Any] = TypeAdapter(FromParent)
_FROM_CHILD: TypeAdapter[Any] = TypeAdapter(FromChild)


def encode(message: Message) -> bytes:
    """One line, newline included."""
    return message.model_dump_json().encode() + b"\n"


def read_parent(line: bytes) -> Order:
    """A message of the parent. Raises pydantic.ValidationError, a ValueError."""
    message: Order = _FROM_PARENT.validate_json(line)
    return message


def read_child(line: bytes) -> Answer:
    """A message of the child. Raises pydantic.ValidationError, a ValueError."""
    message: Answer = _FROM_CHILD.validate_json(line)
    return message
