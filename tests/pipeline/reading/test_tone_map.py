"""Films of high dynamic range and of wide colours look as on an ordinary screen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from av import VideoFrame
from numpy.typing import NDArray

from pipeline.errors import InputUnreadable
from pipeline.reading.orientation import Orientation
from pipeline.reading.tone_map import ToneMap, shown_as, tone_warnings
from pipeline.reading.upright import Upright
from pipeline.types import Color, Frame
from tests.pipeline.reading.calls import facts, numbers, read
from tests.support.dolby import write_dolby
from tests.support.light import BT2020, BT2020_SDR, HLG, PQ, in_light
from tests.support.media import Clip, picture, write_clip

BT709 = Color(matrix=1, full_range=False, primaries=1, transfer=1)
KINDS = [HLG, PQ, BT2020_SDR]
SKIN, LIPS, DARK, PALE = (200, 150, 120), (180, 60, 60), (90, 55, 40), (235, 190, 165)


def _clip(transfer: int, **more: object) -> Clip:
    clip = Clip(
        codec="libx265",
        pix_fmt="yuv420p10le",
        frames=6,
        gop=3,
        options={"x265-params": "log-level=none:crf=8"},
        color=(BT2020, 1, BT2020, transfer),
    )
    return replace(clip, **more)  # type: ignore[arg-type]


def _rgb(frame: Frame) -> NDArray[np.float64]:
    """(H, W, 3) as a player shows BT.709, 0 to 255."""
    y = (frame.y.numpy().astype(float) - 16) * 255 / 219
    u, v = (
        (plane.numpy().astype(float).repeat(2, 0).repeat(2, 1) - 128) * 255 / 224
        for plane in (frame.u, frame.v)
    )
    red, blue = y + 1.5748 * v, y + 1.8556 * u
    return np.stack([red, (y - 0.2126 * red - 0.0722 * blue) / 0.7152, blue], -1)


def _shown(
    rgb: NDArray[np.uint8], transfer: int, layout: str = "yuv420p10le", white: float = 203
) -> NDArray[np.float64]:
    """What becomes of a picture (H, W, 3) that a camera took so."""
    lit = VideoFrame.from_ndarray(in_light(rgb, transfer, white), "rgb48le")
    coded = lit.reformat(format=layout, dst_colorspace=BT2020, dst_color_range=1)
    upright = Upright(
        rgb.shape[1],
        rgb.shape[0],
        BT709,
        Orientation(),
        source=Color(BT2020, False, BT2020, transfer),
    )
    return _rgb(Frame(*upright.planes(coded), index=0))


def _patches(colors: Sequence[tuple[int, ...]]) -> NDArray[np.uint8]:
    return np.array([colors], np.uint8).repeat(32, 0).repeat(32, 1)


def _middles(shown: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    return np.stack([shown[8:24, 32 * n + 8 : 32 * n + 24].mean((0, 1)) for n in range(count)])


@pytest.mark.parametrize("transfer", KINDS)
def test_a_film_comes_out_in_the_colours_of_the_ordinary_one(tmp_path: Path, transfer: int) -> None:
    path = write_clip(tmp_path / "IMG_1.MOV", _clip(transfer))
    video = facts(path)
    assert video.color == BT709
    frames = read(path)
    assert numbers(frames) == list(range(6))
    for n, frame in enumerate(frames):
        want = picture(n, 192, 128)[16:, :]  # below the number's hard edges
        told = want.max(-1) < 180  # brighter ones make room for what is brighter than white
        missed = np.abs(_rgb(frame)[16:] - want)[told]
        assert missed.mean() < 2.5
        assert np.median(missed) < 2


@pytest.mark.parametrize("transfer", KINDS)
@pytest.mark.parametrize("layout", ["yuv420p10le", "yuv422p10le", "yuv444p12le"])
def test_skin_and_lips_keep_their_colour(transfer: int, layout: str) -> None:
    colors = [SKIN, LIPS, DARK]
    shown = _middles(_shown(_patches(colors), transfer, layout), 3)
    assert np.abs(shown - colors).max() < 4


@pytest.mark.parametrize("transfer", [HLG, PQ])
def test_what_is_brighter_than_white_keeps_its_shades(transfer: int) -> None:
    """A lit cheek, a lamp and the sky are not one white."""
    greys = [(level,) * 3 for level in (128, 180, 210, 235, 255)]
    dim = _middles(_shown(_patches(greys), transfer), 5)[:, 1]
    lit = _middles(_shown(_patches(greys), transfer, white=400), 5)[:, 1]
    assert (np.diff(dim) > 8).all()
    assert (np.diff(lit) > 3).all()
    assert _middles(_shown(_patches(greys), transfer, white=1000), 5)[-1, 1] > 254
    assert 220 < dim[-1] < 240  # full white leaves room above it
    assert np.abs(dim[:2] - (128, 180)).max() < 3


@pytest.mark.parametrize("transfer", [HLG, PQ])
def test_bright_skin_stays_skin(transfer: int) -> None:
    """Its hue is the same at any light: red, green and blue are not rolled off each for itself."""
    (shown,) = _middles(_shown(_patches([PALE]), transfer, white=700), 1)
    light = (shown / 255) ** 2.4
    want = (np.array(PALE) / 255) ** 2.4
    assert shown[0] > 245
    assert np.abs(light / light.max() - want / want.max()).max() < 0.06


def test_colours_that_no_screen_has_end_at_its_edge() -> None:
    wide: NDArray[np.uint16] = np.zeros((32, 64, 3), np.uint16)
    wide[:, :32, 1] = wide[:, 32:, 0] = 65535  # BT.2020's own green and red
    lit = VideoFrame.from_ndarray(wide, "rgb48le")
    coded = lit.reformat(format="yuv444p10le", dst_colorspace=BT2020, dst_color_range=1)
    source = Color(BT2020, False, BT2020, BT2020_SDR)
    planes = Upright(64, 32, BT709, Orientation(), source=source).planes(coded)
    green, red = _middles(_rgb(Frame(*planes, index=0)), 2)
    assert green[1] > 200
    assert green[1] > 3 * green[0]
    assert red[0] > 200
    assert red[0] > 3 * red[1]


def test_the_picture_is_the_same_in_whatever_order_it_is_asked_for(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.mov", _clip(HLG))
    forwards = read(path)
    for frame in read(path, [5, 4, 3, 2, 1, 0, 3, 0]):
        want = forwards[frame.index]
        assert torch.equal(frame.y, want.y)
        assert torch.equal(frame.u, want.u)
        assert torch.equal(frame.v, want.v)


def test_a_turned_film_is_scaled_and_upright(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.mov", _clip(HLG, width=192, height=256, rotation=90))
    (frame,) = read(path, [3], max_height=128)
    assert (frame.width, frame.height) == (96, 128)
    want = picture(3, 192, 256)[::2, ::2]
    missed = np.abs(_rgb(frame) - want)[8:][want[8:].max(-1) < 180]
    assert np.median(missed) < 3


@pytest.mark.parametrize("surface", ["p010le", "p016le"])
def test_a_devices_pictures_are_the_same_up_to_one_level(surface: str) -> None:
    rgb = picture(7, 192, 128)
    own, device = (_shown(rgb, HLG, layout) for layout in ("yuv420p10le", surface))
    assert np.abs(own - device).max() < 4  # one level of each plane


def test_transparent_film_lies_before_white() -> None:
    rgb = _patches([SKIN, SKIN])
    lit = in_light(rgb, HLG)
    alpha = np.full((*lit.shape[:2], 1), 65535, np.uint16)
    alpha[:, 32:] = 0
    four = VideoFrame.from_ndarray(np.concatenate([lit, alpha], -1), "rgba64le")
    coded = four.reformat(format="yuva444p10le", dst_colorspace=BT2020, dst_color_range=1)
    source = Color(BT2020, False, BT2020, HLG)
    planes = Upright(64, 32, BT709, Orientation(), source=source).planes(coded)
    skin, paper = _middles(_rgb(Frame(*planes, index=0)), 2)
    assert np.abs(skin - SKIN).max() < 4
    assert np.abs(paper - 255).max() < 2


@pytest.mark.parametrize("name", ["a.mp4", "a.mov", "a.mkv", "a.webm"])
def test_words_of_the_container_alone_are_enough(name: str, tmp_path: Path) -> None:
    """VP9 has none of its own for the curve, and encoders of some phones write none."""
    path = _told_outside(tmp_path / name, (BT2020, 1, BT2020, HLG))
    assert facts(path).source == Color(BT2020, False, BT2020, HLG)
    plain = facts(_told_outside(tmp_path / f"plain-{name}", (1, 1, 1, 1)))
    assert (plain.source, plain.color) == (None, BT709)


def _told_outside(path: Path, color: tuple[int, int, int, int]) -> Path:
    codec, layout, options = ("libvpx-vp9", "yuv420p", {})
    if path.suffix != ".webm":
        options = {"x265-params": "log-level=none:bframes=0"}
        codec, layout = "libx265", "yuv420p10le"
    muxer = {"movflags": "write_colr"} if path.suffix in (".mp4", ".mov") else {}
    with av.open(str(path), "w", container_options=muxer) as container:
        stream = container.add_stream(codec, rate=25, options=options)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = 96, 64, layout
        context = stream.codec_context
        context.time_base = Fraction(1, 25)
        context.open()  # from here on words go to the container alone
        context.colorspace, context.color_range, context.color_primaries, context.color_trc = color
        for number in range(2):
            frame = VideoFrame(96, 64, layout)
            frame.pts, frame.time_base = number, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def test_high_dynamic_range_without_more_words_is_that_of_bt2020(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.mov", _clip(HLG, color=(2, 1, BT2020, HLG)))
    assert facts(path).source == Color(BT2020, False, BT2020, HLG)
    path = write_clip(tmp_path / "b.mov", _clip(HLG, color=(2, 1, 2, HLG)))
    assert facts(path).source == Color(BT2020, False, BT2020, HLG)
    path = write_clip(tmp_path / "c.mov", _clip(BT2020_SDR, color=(2, 1, BT2020, 2)))
    assert facts(path).source == Color(BT2020, False, BT2020, BT2020_SDR)


def test_ordinary_film_is_not_touched(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.mp4", Clip(frames=2, color=(1, 1, 1, 1)))
    video = facts(path)
    assert video.source is None
    assert tone_warnings(video) == []
    for color in (BT709, Color(6, False, 6, 6), Color(5, True, 5, 6), Color(6, True, 1, 13)):
        assert shown_as(path, color) is None


@pytest.mark.parametrize(
    ("color", "name"),
    [
        (Color(9, False, 9, HLG), "HLG"),
        (Color(9, False, 9, PQ), "PQ"),
        (Color(1, False, 12, 1), "wide colours"),
    ],
)
def test_a_report_says_what_was_brought_to_sdr(tmp_path: Path, color: Color, name: str) -> None:
    path = write_clip(tmp_path / "a.mp4", Clip(frames=2, fps=Fraction(25)))
    video = facts(path)
    assert shown_as(path, color) == BT709
    (text,) = tone_warnings(replace(video, source=color))
    assert name in text
    assert "SDR" in text


def test_a_matrix_that_is_not_known_is_named() -> None:
    with pytest.raises(InputUnreadable, match="matrix 14"):
        shown_as(Path("a.mov"), Color(14, False, BT2020, PQ))


def test_colours_of_dolby_vision_alone_are_refused_and_those_over_hlg_are_not(
    tmp_path: Path,
) -> None:
    own = write_clip(tmp_path / "own.mp4", _clip(HLG, color=None))
    over = write_clip(tmp_path / "over.mp4", _clip(HLG))
    for path in (own, over):
        assert path.read_bytes().count(b"hev1") == 1
        path.write_bytes(path.read_bytes().replace(b"hev1", b"dvh1"))
    with pytest.raises(InputUnreadable, match=r"Dolby Vision's own \(profile 5, dvh1\)"):
        facts(own)
    assert facts(over).source is not None


@pytest.mark.parametrize("kind", ["mkv", "ts", "mp4"])
def test_colours_of_dolby_vision_alone_are_refused_where_no_container_names_it(
    tmp_path: Path, kind: str
) -> None:
    with pytest.raises(InputUnreadable, match=r"own \(profile 5(, \w{4})?\), which"):
        facts(write_dolby(tmp_path / f"own.{kind}", full_range=True))
    assert facts(write_dolby(tmp_path / f"sdr.{kind}", full_range=False)).source is None


def test_colours_coded_as_ycgco_are_refused_by_name(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "a.mp4", Clip(frames=2, pix_fmt="yuv444p", color=(8, 2, 1, 1)))
    with pytest.raises(InputUnreadable, match=r"YCgCo \(matrix 8 .*save it as BT.709"):
        facts(path)


def test_pictures_of_another_size_in_the_middle_are_taken() -> None:
    tone = ToneMap(Color(BT2020, False, BT2020, HLG))
    for width in (64, 96, 64):
        lit = VideoFrame.from_ndarray(in_light(_patches([SKIN])[:, :32], HLG), "rgb48le")
        coded = lit.reformat(width, 32, "yuv420p10le", dst_colorspace=BT2020, dst_color_range=1)
        made = tone.shown(coded, 64, 32, "yuv420p")
        assert (made.width, made.height, made.format.name) == (64, 32, "yuv420p")
