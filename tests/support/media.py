"""Clips made on the fly: any size, rate, codec, rotation, time stamps and sound.

Every picture carries its own number as a row of black and white fields, which survives
compression, so that a test can tell which picture it got (`number_of`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from tests.support import light

BITS = 12
"""Fields of the number; pictures count up to 4095."""
_FIELD_ROWS = 8


def picture(number: int, width: int, height: int) -> NDArray[np.uint8]:
    """(H, W, 3) RGB: the number at the top, a soft gradient and a moving bar below."""
    x = np.linspace(40, 200, width)[None, :]
    y = np.linspace(0, 40, height)[:, None]
    rgb = np.stack([x + y, 220 - x + 0 * y, 90 + y + 0 * x], axis=-1)
    bar = number * 5 % width
    rgb[height // 2 :, bar : bar + max(2, width // 16)] = (230, 200, 60)
    step = width // BITS
    for bit in range(BITS):
        rgb[:_FIELD_ROWS, bit * step : (bit + 1) * step] = 235 if number >> bit & 1 else 20
    return rgb.clip(0, 255).astype(np.uint8)


def number_of(luma: Any) -> int:
    """The number in a picture's luma plane (H, W), or -1 when the fields are not readable."""
    plane = np.asarray(luma, dtype=np.float32)
    step = plane.shape[1] // BITS
    number = 0
    for bit in range(BITS):
        field_ = plane[2 : _FIELD_ROWS - 2, bit * step + 1 : (bit + 1) * step - 1]
        if 90 < field_.mean() < 160:
            return -1
        number |= int(field_.mean() > 125) << bit
    return number


@dataclass(frozen=True)
class Tone:
    """Sound of a clip: sine tones of one channel each, with a click at every whole second."""

    seconds: float
    rate: int = 44100
    layout: str = "stereo"
    codec: str = "aac"
    format: str | None = None
    """Sample format of the encoder; None is its first."""
    hertz: float = 220.0
    clicks: bool = False
    delay: Fraction = Fraction(0)
    """Seconds by which the first sample lies after 0."""

    def samples(self) -> NDArray[np.float32]:
        """(channels, n), -1 to 1."""
        count = round(self.seconds * self.rate)
        time = np.arange(count) / self.rate
        channels = av.AudioLayout(self.layout).nb_channels
        wave = np.stack(
            [0.3 * np.sin(2 * np.pi * self.hertz * (1 + c / 4) * time) for c in range(channels)]
        )
        if self.clicks:
            wave *= 0.02
            for second in range(int(self.seconds) + 1):
                start = second * self.rate
                wave[:, start : start + self.rate // 100] = 0.8
        return wave.astype(np.float32)


@dataclass(frozen=True)
class Clip:
    """A video to make."""

    width: int = 192
    """Of the upright picture, as of `height`."""
    height: int = 128
    frames: int = 30
    fps: Fraction = Fraction(25)
    codec: str = "libx264"
    pix_fmt: str = "yuv420p"
    options: dict[str, str] = field(default_factory=dict)
    gop: int = 12
    rotation: int = 0
    """Degrees clockwise that a player has to apply."""
    mirrored: bool = False
    times: Sequence[Fraction] | None = None
    """Seconds at which each picture starts; None is the constant rate."""
    time_base: Fraction | None = None
    color: tuple[int, int, int, int] | None = None
    """H.273 matrix, range (1 limited, 2 full), primaries, transfer. Where the last one is of high
    dynamic range, or the primaries are BT.2020's, the pictures are drawn so (`light`)."""
    aspect: Fraction | None = None
    sound: Tone | None = None
    container: str | None = None
    """libavformat's name of the muxer; None takes the file's name."""
    muxer: dict[str, str] = field(default_factory=dict)


def peak_mb() -> int:
    """Most memory that this process ever held, in MB (VmHWM).

    Not `ru_maxrss`: a child inherits that from the process that started it.
    """
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) // 1024


def write_clip(path: Path, clip: Clip) -> Path:
    """Make a video; the first picture has the number 0."""
    with av.open(
        str(path), "w", format=clip.container, container_options=dict(clip.muxer)
    ) as container:
        stream = _video_stream(container, clip)
        sound = None if clip.sound is None else _audio_stream(container, clip.sound)
        if clip.sound is not None:
            _write_sound(container, sound, clip.sound)
        base = stream.codec_context.time_base
        for number in range(clip.frames):
            drawn = _as_coded(picture(number, clip.width, clip.height), clip)
            frame = _lit(drawn, clip)
            frame = frame.reformat(
                format=clip.pix_fmt,
                dst_colorspace=clip.color[0] if clip.color else None,
                dst_color_range=clip.color[1] if clip.color else None,
            )
            frame.pict_type = 0
            time = clip.times[number] if clip.times is not None else number / clip.fps
            frame.time_base = base
            frame.pts = round(time / base)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def _lit(drawn: NDArray[np.uint8], clip: Clip) -> av.VideoFrame:
    if clip.color is None or clip.color[2] != light.BT2020:
        return av.VideoFrame.from_ndarray(drawn, "rgb24")
    return av.VideoFrame.from_ndarray(light.in_light(drawn, clip.color[3]), "rgb48le")


def _as_coded(upright: NDArray[np.uint8], clip: Clip) -> NDArray[np.uint8]:
    """Undo what the player will do, so that the upright picture is the one drawn."""
    coded = np.rot90(upright, clip.rotation // 90)  # counterclockwise
    return np.ascontiguousarray(coded[:, ::-1] if clip.mirrored else coded)


def _video_stream(container: Any, clip: Clip) -> Any:
    stream = container.add_stream(clip.codec, rate=clip.fps, options=dict(clip.options))
    upright = (clip.width, clip.height)
    stream.width, stream.height = upright[::-1] if clip.rotation % 180 else upright
    stream.pix_fmt = clip.pix_fmt
    codec = stream.codec_context
    codec.gop_size = clip.gop
    codec.thread_count = 1
    base = clip.time_base or (1 / clip.fps if clip.times is None else Fraction(1, 90_000))
    codec.time_base = base
    stream.time_base = base
    if clip.color is not None:
        codec.colorspace, codec.color_range, codec.color_primaries, codec.color_trc = clip.color
    if clip.aspect is not None:
        codec.sample_aspect_ratio = clip.aspect
    if clip.rotation or clip.mirrored:
        stream.set_display_rotation(-clip.rotation, hflip=clip.mirrored)
    return stream


def _audio_stream(container: Any, tone: Tone) -> Any:
    stream = container.add_stream(tone.codec, rate=tone.rate)
    stream.codec_context.layout = tone.layout
    if tone.format is not None:
        stream.codec_context.format = tone.format
    return stream


def _write_sound(container: Any, stream: Any, tone: Tone) -> None:
    wave = tone.samples()
    start = round(tone.delay * tone.rate)
    for begin in range(0, wave.shape[1], 1024):
        block = np.ascontiguousarray(wave[:, begin : begin + 1024])
        frame = av.AudioFrame.from_ndarray(block, "fltp", tone.layout)
        frame.sample_rate = tone.rate
        frame.time_base = Fraction(1, tone.rate)
        frame.pts = start + begin
        container.mux(stream.encode(frame))
    container.mux(stream.encode(None))


def write_sound(path: Path, tone: Tone, container_name: str | None = None) -> Path:
    """Make a sound file of any kind that libavformat writes."""
    with av.open(str(path), "w", format=container_name) as container:
        _write_sound(container, _audio_stream(container, tone), tone)
    return path


def write_picture(
    path: Path, width: int, height: int, *, codec: str = "png", pix_fmt: str = "rgb24"
) -> Path:
    """Make a still: png (rgb24), mjpeg (yuvj420p), libwebp (yuv420p)."""
    context = av.CodecContext.create(codec, "w")
    assert isinstance(context, av.VideoCodecContext)
    context.width, context.height, context.pix_fmt = width, height, pix_fmt
    context.time_base = Fraction(1, 25)
    frame = av.VideoFrame.from_ndarray(picture(5, width, height), "rgb24").reformat(format=pix_fmt)
    frame.pts = 0
    data = b"".join(bytes(p) for p in [*context.encode(frame), *context.encode(None)])
    path.write_bytes(data)
    return path
