"""A reference of high dynamic range is rendered as the ordinary one is."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from pipeline.render import render
from pipeline.types import RenderSpec
from schemas.render import RenderReport
from tests.support.light import BT2020, HLG, in_light
from tests.support.media import Tone, write_sound

VIDEO = Path(__file__).parents[2] / "consumer" / "demo_assets" / "reference.mp4"
FRAMES = 12


@pytest.fixture(scope="module")
def pictures() -> list[NDArray[np.uint8]]:
    with av.open(str(VIDEO)) as container:
        frames = [frame for _, frame in zip(range(FRAMES), container.decode(video=0), strict=False)]
    return [_rgb(frame) for frame in frames]


def _rgb(frame: av.VideoFrame) -> NDArray[np.uint8]:
    return frame.reformat(format="rgb24").to_ndarray().astype(np.uint8, copy=False)


def _film(path: Path, pictures: list[NDArray[np.uint8]], *, lit: bool) -> Path:
    words = (BT2020, 1, BT2020, HLG) if lit else (1, 1, 1, 1)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(
            "libx265", rate=25, options={"x265-params": "log-level=none:crf=10"}
        )
        assert isinstance(stream, av.VideoStream)
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt = "yuv420p10le"
        codec = stream.codec_context
        codec.colorspace, codec.color_range, codec.color_primaries, codec.color_trc = words
        for number, rgb in enumerate(pictures):
            drawn = in_light(rgb, HLG) if lit else rgb
            frame = av.VideoFrame.from_ndarray(drawn, "rgb48le" if lit else "rgb24")
            coded = frame.reformat(format="yuv420p10le", dst_colorspace=words[0], dst_color_range=1)
            coded.pts, coded.time_base = number, Fraction(1, 25)
            container.mux(stream.encode(coded))
        container.mux(stream.encode(None))
    return path


def _rendered(folder: Path, video: Path) -> tuple[RenderReport, list[NDArray[np.uint8]]]:
    speech = write_sound(folder / "speech.wav", Tone(0.4, codec="pcm_s16le", rate=16_000))
    spec = RenderSpec(speech, video, folder / f"out-{video.stem}.mp4", folder)
    report = render(spec, lambda _: None)
    with av.open(str(spec.output)) as container:
        frames = list(container.decode(video=0))
    words = {(f.colorspace, f.color_primaries, f.color_trc, f.color_range) for f in frames}
    assert words == {(1, 1, 1, 1)}
    assert {frame.format.name for frame in frames} == {"yuv420p"}
    return report, [_rgb(frame) for frame in frames]


def test_what_comes_out_looks_and_moves_as_of_the_ordinary_film_and_says_what_was_done(
    tmp_path: Path, pictures: list[NDArray[np.uint8]]
) -> None:
    plain, want = _rendered(tmp_path, _film(tmp_path / "plain.mov", pictures, lit=False))
    lit, got = _rendered(tmp_path, _film(tmp_path / "lit.mov", pictures, lit=True))
    assert [text for text in lit.warnings if text not in plain.warnings] == [
        "the reference is HLG; it was brought to SDR, BT.709"
    ]
    assert lit.quality["painted_frames"] == plain.quality["painted_frames"] > 0
    assert lit.face["frames"] == plain.face["frames"]
    for ours, theirs in zip(got, want, strict=True):
        told = theirs.max(-1) < 180  # brighter ones make room for what is brighter than white
        assert np.abs(ours.astype(int) - theirs)[told].mean() < 4
