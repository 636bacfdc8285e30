"""What the stages of the pipeline hand to each other.

Conventions, everywhere in `pipeline`:
    axes      pictures are (H, W), stacks of points (N, 2) as (x, y); batches come first
    pixels    a pixel's centre lies at integer coordinates: the picture spans -0.5 .. W-0.5
    planes    8-bit YUV 4:2:0, chroma (H/2, W/2); W and H are even
    time      seconds as `Fraction` where exactness matters, else float
    io        distance of the outer eye corners (mesh points 33 and 263), pixels
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from schemas.request import RenderOptions

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, slots=True)
class Color:
    """How the planes are to be read; copied from the source to the output. ITU-T H.273 codes."""

    matrix: int
    """MatrixCoefficients: 1 = BT.709, 5/6 = BT.601, 9 = BT.2020."""
    full_range: bool
    primaries: int
    transfer: int


@dataclass(slots=True)
class Frame:
    """One upright picture of the reference, or of the output."""

    y: Tensor
    """(H, W) uint8, host memory."""
    u: Tensor
    """(H/2, W/2) uint8."""
    v: Tensor
    """(H/2, W/2) uint8."""
    index: int
    """Place in the reference's constant-rate grid, from 0 (`pipeline.timeline`)."""

    @property
    def height(self) -> int:
        """Rows of the luma plane."""
        return int(self.y.shape[0])

    @property
    def width(self) -> int:
        """Columns of the luma plane."""
        return int(self.y.shape[1])


@dataclass(frozen=True, slots=True)
class VideoFacts:
    """The reference's picture stream after probing, as `pipeline.reading.decode` delivers it."""

    path: Path
    width: int
    """Pixels after rotation, scaling and cropping to even."""
    height: int
    fps: Fraction
    """Constant rate of the grid; a variable rate becomes its average (`pipeline.reading.grid`)."""
    frames: int
    """Frames in the grid, at least 1. Exact after `pipeline.reading.probe` counted packets."""
    color: Color
    codec: str
    rotation: int
    """Degrees clockwise that were applied: 0, 90, 180, 270."""
    variable_rate: bool
    still: bool
    """True for a picture (or a video of one frame)."""
    has_audio: bool
    """The reference has a sound track of its own, which may be speech."""
    scale: float = 1.0
    """Pixels of `width` to one of the upright reference, which requests count in; 1 or less."""
    source: Color | None = None
    """How the file's own pictures are to be read, where `pipeline.reading.tone_map` brings them to
    `color`; None where they have it already."""

    @property
    def duration(self) -> Fraction:
        """Seconds."""
        return self.frames / self.fps


@dataclass(frozen=True, slots=True)
class AudioFacts:
    """The speech's stream after probing."""

    path: Path
    rate: int
    """Samples per second of the source, kept in the output."""
    channels: int
    duration: Fraction
    """Seconds, by decoded samples."""
    codec: str
    alone: int | None = None
    """The channel that is taken instead of a mix, which would be silent; from 0."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a job may ask for. Checked by `pipeline.reading.probe` before anything is decoded."""

    max_pixels: int = 3840 * 2160
    max_side: int = 8192
    max_video_s: float = 3600.0
    max_audio_s: float = 1800.0
    max_streams: int = 16
    max_bytes: int = 4 * 1024**3
    min_face_px: float = 48.0
    """Side of the face box below which a frame counts as faceless."""
    probe_timeout_s: float = 20.0
    """Wall seconds that opening and scanning one file may take."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Who signs: a key with its certificate chain. Its text shows neither."""

    chain: bytes
    """PEM, the signer's certificate first."""
    key: bytes
    """PEM, PKCS #8, not encrypted."""
    algorithm: str
    """C2PA's name: es256, es384, es512, ps256 or ed25519."""
    development: bool
    """Made on this machine, and trusted by nobody."""

    def __repr__(self) -> str:
        return f"Identity({self.algorithm}, development={self.development})"


@dataclass(frozen=True, slots=True)
class Marks:
    """Which labels an output gets beside the visible one, which is an option of the request."""

    words: bool = True
    """AIGC and IPTC text in the container."""
    producer: str | None = None
    """Who answers for the content, by the AIGC text; None for this software."""
    identity: Identity | None = None
    """Who signs the C2PA manifest; None leaves it out."""
    watermark: bool = False
    """A digest of the job id in the picture, invisibly (`pipeline.mark.watermark`)."""
    consent: dict[str, Any] | None = None
    """Written into the signed manifest."""


@dataclass(frozen=True, slots=True)
class AvatarFolder:
    """Where prepared references are kept between jobs (`pipeline.avatars`)."""

    path: Path
    """May be shared by any number of processes; whoever owns it bounds its size."""
    max_bytes: int = 1024**3
    """A larger avatar is not kept."""
    keep_free: int = 512 * 1024**2
    """Bytes of its disk that must stay free."""


@dataclass(frozen=True, slots=True)
class RenderSpec:
    """One job for `pipeline.render`: local files in, one local file out."""

    audio: Path
    video: Path
    output: Path
    scratch: Path
    """An existing folder of this job alone; the caller removes it."""
    engine: str = "viseme"
    options: RenderOptions = field(default_factory=RenderOptions)
    limits: Limits = field(default_factory=Limits)
    device: str = "cpu"
    threads: int = 2
    """Processor budget of this job; torch and x264 threads follow from it."""
    deadline: float | None = None
    """Second of `time.monotonic` at which the job must be done, as far as anybody waits for it."""
    job_id: str | None = None
    marks: Marks = field(default_factory=Marks)
    avatars: AvatarFolder | None = None
    """Where the prepared reference may be found and is kept; None prepares it anew."""
    video_sha256: str | None = None
    """Hex SHA-256 of `video`, where the caller knows it; else it is read once more."""


@dataclass(frozen=True, slots=True)
class Tick:
    """Progress of one stage."""

    stage: str
    done: int
    total: int


OnTick = Callable[[Tick], None]
"""Called often, must be cheap. May raise `Cancelled` or `DeadlineExceeded` to stop the render."""
