"""Interlaced film shows one moment in each picture; progressive film is not touched."""

from __future__ import annotations

import random
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from av.codec.context import Flags
from numpy.typing import NDArray

from pipeline.reading import blocks, deinterlace
from pipeline.reading.decode import FrameReader
from pipeline.reading.pixel_format import laid_out
from pipeline.types import Frame
from tests.pipeline.reading.calls import NTSC, facts, numbers, read
from tests.support.interlaced import Woven, planes, scene, woven, write_woven

FILMS = {
    "upper-first.mp4": Woven(),
    "lower-first.mp4": Woven(first="bff"),
    "b-frames.mp4": Woven(options={"crf": "8", "x264-params": "bframes=3:b-adapt=0"}),
    "upper-first.ts": Woven(codec="mpeg2video", options={"b": "9M", "bf": "2"}, fps=NTSC),
    "lower-first.mpg": Woven(codec="mpeg2video", options={"b": "9M"}, first="bff"),
    "deep.mov": Woven(codec="prores_ks", options={}, pix_fmt="yuv422p10le"),
    "deep.mp4": Woven(pix_fmt="yuv420p10le"),
}
DV = {
    "pal.avi": Woven(10, 720, 576, first="bff", codec="dvvideo", options={}),
    "ntsc.mov": Woven(10, 720, 480, NTSC, "bff", "dvvideo", {}, "yuv411p"),
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("films")
    for name, film in (FILMS | DV).items():
        write_woven(folder / name, film)
    return folder


def _lower_half(luma: NDArray[np.float32]) -> NDArray[np.float32]:
    """Where the bar moves."""
    return luma[len(luma) // 2 :]


def _shown(frame: Frame) -> NDArray[np.float32]:
    return _lower_half(frame.y.numpy().astype(np.float32))


def _moment(film: Woven, frame: int, moment: int) -> NDArray[np.float32]:
    luma = planes(film, frame, moment)[0]
    deep = luma.shape[1] != film.width
    return _lower_half((luma.view("<u2") / 4 if deep else luma).astype(np.float32))


def _comb(rows: NDArray[np.float32]) -> float:
    """How far each line lies from those above and below it; a vertical edge has none."""
    return float(np.abs(rows[:-2] + rows[2:] - 2 * rows[1:-1]).mean())


@pytest.mark.parametrize("name", list(FILMS))
def test_each_picture_shows_the_moment_of_its_first_field(made: Path, name: str) -> None:
    film = FILMS[name]
    frames = read(made / name)
    assert numbers(frames) == list(range(film.frames))
    for n, frame in enumerate(frames[1:-1], 1):
        first, second = (np.abs(_shown(frame) - _moment(film, n, 2 * n + k)).mean() for k in (0, 1))
        assert first < 0.8
        assert second > 3 * first
        assert _comb(_shown(frame)) < 1.5


@pytest.mark.parametrize("name", list(DV))
def test_camcorders_film_has_no_comb(
    made: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = read(made / name)
    assert numbers(shown) == list(range(DV[name].frames))
    monkeypatch.setattr("pipeline.reading.film.is_combed", lambda *_: False)
    for new, old in zip(shown[1:-1], read(made / name)[1:-1], strict=True):
        assert _comb(_shown(new)) < 0.2 * _comb(_shown(old))


@pytest.mark.parametrize("first", ["tff", "bff"])
@pytest.mark.parametrize(("lines", "fps"), [(576, Fraction(25)), (480, NTSC)])
def test_a_tape_that_says_it_is_progressive_shows_one_moment_in_each_picture(
    lines: int, fps: Fraction, first: str, tmp_path: Path
) -> None:
    film = Woven(12, 192, lines, fps, first, options={"crf": "14"}, silent=True)
    path = write_woven(tmp_path / "tape.mp4", film)
    with av.open(str(path)) as container:
        assert not any(frame.interlaced_frame for frame in container.decode(video=0))
    frames = read(path)
    for n, frame in enumerate(frames[1:-1], 1):
        early, late = (np.abs(_shown(frame) - _moment(film, n, 2 * n + k)).mean() for k in (0, 1))
        assert early < 1.5
        assert late > 2 * early
    (again,) = read(path, [5])
    assert torch.equal(again.y, frames[5].y)


def test_film_that_is_progressive_is_left_as_it_is_whatever_its_size(tmp_path: Path) -> None:
    film = Woven(12, 192, 576, Fraction(25), "prog", moved=False)
    path = write_woven(tmp_path / "film.mp4", film)
    with av.open(str(path)) as container:
        for frame, coded in zip(read(path), container.decode(video=0), strict=True):
            assert np.array_equal(frame.y.numpy(), coded.to_ndarray()[: film.height])


def test_other_film_than_of_tapes_is_not_looked_at(
    made: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[Path] = []
    monkeypatch.setattr("pipeline.reading.film.unsaid_order", lambda path, *_: looked.append(path))
    read(write_woven(made / "plain.mp4", Woven(4, first="prog", moved=False)))
    assert not looked
    read(write_woven(made / "sd.mp4", Woven(4, 64, 576, first="prog", moved=False)))
    assert looked == [made / "sd.mp4"]


def test_rate_and_length_stay_those_of_the_pictures(made: Path) -> None:
    video = facts(made / "upper-first.ts")
    assert (video.fps, video.frames, video.variable_rate) == (NTSC, 30, False)


@pytest.mark.parametrize("name", ["b-frames.mp4", "lower-first.mpg"])
def test_a_picture_is_the_same_in_whatever_order_it_is_asked_for(
    made: Path, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blocks, "FILE_BYTES", 7 * 192 * 128 * 3 // 2)
    video = facts(made / name)
    once = list(FrameReader(video, 1).read(range(30)))
    jumps = random.Random(7).choices(range(30), k=20)
    for order in (list(range(29, -1, -1)), jumps, [11, 12, 12, 14, 13, 0, 29]):
        for frame in FrameReader(video, 3, tmp_path).read(order):
            want = once[frame.index]
            assert torch.equal(frame.y, want.y)
            assert torch.equal(frame.u, want.u)
            assert torch.equal(frame.v, want.v)


def test_progressive_film_in_an_interlaced_stream_keeps_every_bit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_woven(tmp_path / "psf.mp4", Woven(moved=False))
    shown = read(path)
    monkeypatch.setattr("pipeline.reading.film.is_combed", lambda *_: False)
    for new, old in zip(shown, read(path), strict=True):
        assert torch.equal(new.y, old.y)
        assert torch.equal(new.u, old.u)


def test_film_that_calls_itself_progressive_is_not_even_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_woven(tmp_path / "progressive.mp4", Woven(first="prog"))
    monkeypatch.setattr("pipeline.reading.film.is_combed", None)  # whoever looks fails
    assert numbers(read(path)) == list(range(30))


def test_what_stands_still_keeps_all_of_its_lines(made: Path) -> None:
    film = FILMS["upper-first.mp4"]
    for n, frame in enumerate(read(made / "upper-first.mp4")[1:-1], 1):
        still = slice(0, film.height // 2 - 4)
        want = planes(film, n, 2 * n)[0][still].astype(int)
        number = planes(film, n - 1, 2 * n)[0][still].astype(int)
        same = want[:8] == number[:8]  # the number itself changes
        error = np.abs(frame.y.numpy()[still].astype(int) - want)
        assert error[8:].mean() < 0.5
        assert error[:8][same].mean() < 2


def test_a_new_size_in_the_middle_of_interlaced_film_is_read(tmp_path: Path) -> None:
    films = (Woven(), Woven(30, 384, 256))
    parts = [write_woven(tmp_path / f"{n}.ts", film) for n, film in enumerate(films)]
    path = tmp_path / "both.ts"
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    shown = read(path)
    assert numbers(shown) == [*range(30), *range(30)]
    assert all(frame.y.shape == (128, 192) for frame in shown)
    assert [frame.index for frame in read(path, range(59, -1, -1))] == list(range(59, -1, -1))


@pytest.mark.parametrize("matrix", [1, 2, 5, 9])
@pytest.mark.parametrize("span", [1, 2], ids=["limited", "full"])
def test_a_devices_own_layout_is_made_whole_too_in_the_same_colours(matrix: int, span: int) -> None:
    """A GPU's decoder leaves both chroma planes in one."""
    film = Woven()
    made = {}
    for layout in ("yuv420p", "nv12"):
        run: deinterlace._Filter | None = None
        for n in range(3):
            frame = woven(film, n).reformat(format=layout)
            frame.time_base = Fraction(1, 25)
            frame.colorspace, frame.color_range = matrix, span
            run = run or deinterlace._Filter(frame, "auto", 1)
            assert run.takes(frame, "auto")
            shown = run.put(frame)
        assert shown is not None
        assert (shown.colorspace, shown.color_range) == (matrix, span)
        made[layout] = [bytes(plane) for plane in laid_out(shown, "yuv420p").planes]
    assert made["yuv420p"] == made["nv12"]


def test_pictures_whose_colours_are_named_anew_are_not_of_one_run() -> None:
    frame = woven(Woven(), 0)
    frame.time_base = Fraction(1, 25)
    run = deinterlace._Filter(frame, "auto", 1)
    frame.colorspace = 9
    assert not run.takes(frame, "auto")


@pytest.mark.parametrize("name", ["a.png", "a.mov"])
def test_a_png_that_is_stored_coarse_to_fine_keeps_every_bit(tmp_path: Path, name: str) -> None:
    """Adam7 is called interlaced, too, and has no fields."""
    whole, coarse = (tmp_path / f"{n}{name}" for n in range(2))
    _write_png(whole, coarse=False)
    _write_png(coarse, coarse=True)
    for new, old in zip(read(coarse), read(whole), strict=True):
        assert torch.equal(new.y, old.y)


def _write_png(path: Path, *, coarse: bool) -> None:
    """A picture, or a film of some that are alike."""
    codec = av.CodecContext.create("png", "w")
    assert isinstance(codec, av.VideoCodecContext)
    codec.width, codec.height, codec.pix_fmt, codec.time_base = 192, 128, "rgb24", Fraction(1, 25)
    codec.flags |= Flags.interlaced_dct if coarse else 0
    frame = av.VideoFrame.from_ndarray(scene(Woven(), 3, 3), "rgb24")
    frame.pts, frame.time_base = 0, Fraction(1, 25)
    packed = b"".join(bytes(packet) for packet in (*codec.encode(frame), *codec.encode(None)))
    assert packed[28] == coarse  # the header's own word
    if path.suffix == ".png":
        path.write_bytes(packed)
        return
    with av.open(str(path), "w") as container:
        stream = container.add_stream("png", rate=25)
        stream.width, stream.height, stream.pix_fmt = 192, 128, "rgb24"
        for n in range(4):
            packet = av.Packet(packed)
            packet.stream, packet.pts, packet.dts, packet.duration = stream, n, n, 1
            packet.time_base, packet.is_keyframe = Fraction(1, 25), True
            container.mux(packet)
