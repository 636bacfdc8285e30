"""The material of the benchmarks: real clips where they are, else the demo's own."""

from __future__ import annotations

import os
from fractions import Fraction
from pathlib import Path

import av

MEDIA = Path(os.environ.get("F2F_MEDIA", Path(__file__).parents[3] / "shared" / "media"))
ASSETS = Path(__file__).parents[2] / "consumer" / "demo_assets"


def reference() -> Path:
    """A landscape 720p reference of a real person, else the demo's portrait."""
    real = MEDIA / "v26_lp_s18_1280x720_silent.mp4"
    return real if real.exists() else ASSETS / "reference.mp4"


def talking() -> Path:
    """A reference that speaks, else the demo's portrait."""
    real = MEDIA / "v08_ls_demo2_1080x1920.mp4"
    return real if real.exists() else ASSETS / "reference.mp4"


def speech() -> Path:
    """A minute of speech, else the demo's some seconds."""
    real = MEDIA / "a02_musetalk_eng_60s.wav"
    return real if real.exists() else ASSETS / "speech.flac"


def make_720p25(
    source: Path, target: Path, seconds: float, wide: bool = True, lines: int = 720
) -> Path:
    """Cut and scale a clip to 25 frames per second and 720 lines (or columns, if upright)."""
    rate, written = Fraction(25), 0
    with av.open(str(source)) as inside, av.open(str(target), "w") as outside:
        stream = outside.add_stream("libx264", rate=rate, options={"crf": "16"})
        stream.pix_fmt = "yuv420p"
        picture = inside.streams.video[0]
        upright = picture.height > picture.width
        long = lines * 16 // 9
        stream.width, stream.height = (lines, long) if upright or not wide else (long, lines)
        for frame in inside.decode(picture):
            while frame.time is not None and written / rate <= frame.time:
                if written >= seconds * rate:
                    break
                scaled = frame.reformat(stream.width, stream.height, "yuv420p")
                scaled.pts, scaled.time_base = written, 1 / rate
                outside.mux(stream.encode(scaled))
                written += 1
        outside.mux(stream.encode(None))
    return target


def cut_speech(source: Path, target: Path, seconds: float) -> Path:
    """A WAV of exactly so many seconds, the source repeated where it is shorter."""
    rate = 16000
    need = int(seconds * rate)
    with av.open(str(target), "w") as outside:
        stream = outside.add_stream("pcm_s16le", rate=rate, layout="mono")
        while need > 0:
            need = _copy(source, outside, stream, rate, need)
    return target


def _copy(source: Path, outside: object, stream: object, rate: int, need: int) -> int:
    resampler = av.AudioResampler("s16", "mono", rate)
    with av.open(str(source)) as inside:
        for decoded in inside.decode(audio=0):
            for block in resampler.resample(decoded):
                if need <= 0:
                    return 0
                if block.samples > need:
                    short = av.AudioFrame.from_ndarray(block.to_ndarray()[:, :need], "s16", "mono")
                    short.sample_rate = rate
                    block = short
                block.pts = None
                need -= block.samples
                outside.mux(stream.encode(block))  # type: ignore[attr-defined]
    return need


def begin(source: Path, target: Path, seconds: float) -> Path:
    """The first seconds of a clip, without its sound: its packets in the order of decoding."""
    with av.open(str(source)) as inside, av.open(str(target), "w") as outside:
        picture = inside.streams.video[0]
        stream = outside.add_stream_from_template(picture)
        for packet in inside.demux(picture):
            base = picture.time_base
            if base is None or packet.dts is None or packet.dts * base >= seconds:
                continue
            packet.stream = stream
            outside.mux(packet)
    return target


def repeat(source: Path, target: Path, seconds: float) -> Path:
    """A clip played again and again by copying its packets, until so many seconds are full."""
    with av.open(str(target), "w") as outside:
        stream = None
        shift = 0
        while True:
            with av.open(str(source)) as inside:
                picture = inside.streams.video[0]
                if stream is None:
                    stream = outside.add_stream_from_template(picture)
                base, end = picture.time_base, 0
                for packet in inside.demux(picture):
                    if packet.dts is None or packet.pts is None:
                        continue
                    end = max(end, packet.pts + (packet.duration or 0))
                    packet.pts, packet.dts = packet.pts + shift, packet.dts + shift
                    packet.stream = stream
                    outside.mux(packet)
                shift += end
            if base is None or shift * base >= seconds:
                return target
