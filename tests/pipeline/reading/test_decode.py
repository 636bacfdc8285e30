"""Reading grid frames: the right picture, in any order, and no more held than is needed."""

from __future__ import annotations

import random
from fractions import Fraction
from pathlib import Path

import pytest
import torch

from pipeline.errors import MediaLimitExceeded
from pipeline.reading import blocks
from pipeline.reading.decode import FrameReader
from pipeline.reading.probe import probe_video
from pipeline.reading.upright import Planes
from pipeline.types import Limits
from schemas.request import RenderOptions
from tests.pipeline.reading.calls import B_FRAMES, NTSC, facts, numbers, read
from tests.support.media import Clip, number_of, write_clip

CLIPS = {
    "b-frames.mp4": Clip(frames=100, options=B_FRAMES),
    "open-gop.mp4": Clip(frames=100, options={"x264-params": "open-gop=1:bframes=3:b-adapt=0"}),
    "one-gop.mp4": Clip(frames=150, gop=1000, options=B_FRAMES),
    "intra.mp4": Clip(frames=40, gop=1),
    "ntsc.mkv": Clip(frames=150, fps=NTSC),
    "slow.mov": Clip(frames=30, fps=Fraction(25, 2)),
    "hevc.mp4": Clip(frames=60, codec="libx265", options={"x265-params": "log-level=none"}),
    "hevc10.mp4": Clip(
        frames=40, codec="libx265", pix_fmt="yuv420p10le", options={"x265-params": "log-level=none"}
    ),
    "x264-10.mp4": Clip(frames=40, pix_fmt="yuv420p10le"),
    "444.mp4": Clip(frames=30, pix_fmt="yuv444p"),
    "rgb.mp4": Clip(frames=30, codec="libx264rgb", pix_fmt="rgb24"),
    "gray.mp4": Clip(frames=30, pix_fmt="gray"),
    "prores.mov": Clip(frames=20, codec="prores_ks", pix_fmt="yuv422p10le"),
    "mjpeg.avi": Clip(frames=30, codec="mjpeg", pix_fmt="yuvj422p"),
    "mpeg4.avi": Clip(frames=60, codec="mpeg4", options={"bf": "2"}),
    "h264.avi": Clip(frames=60, options=B_FRAMES),
    "mpeg2.mpg": Clip(frames=40, codec="mpeg2video", options={"bf": "2"}),
    "vp9.webm": Clip(frames=30, codec="libvpx-vp9"),
    "stream.ts": Clip(frames=60, options=B_FRAMES),
    "old.flv": Clip(frames=60, fps=NTSC),
    "parts.mp4": Clip(frames=60, muxer={"movflags": "frag_keyframe+empty_moov"}),
    "late.mp4": Clip(frames=40, times=[Fraction(n, 25) + Fraction(7, 10) for n in range(40)]),
    "odd.mp4": Clip(frames=30, width=321, height=181, pix_fmt="yuv444p"),
    "few.gif": Clip(frames=20, codec="gif", pix_fmt="rgb8", fps=Fraction(10)),
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clips")
    for name, clip in CLIPS.items():
        write_clip(folder / name, clip)
    return folder


@pytest.mark.parametrize("name", list(CLIPS))
def test_every_frame_is_the_right_picture_in_any_order(made: Path, name: str) -> None:
    path = made / name
    video = facts(path)
    reader = FrameReader(video, 1)
    forth = list(range(CLIPS[name].frames))
    assert numbers(reader.read(forth)) == forth
    assert numbers(reader.read(reversed(forth))) == forth[::-1]
    jumps = random.Random(4).choices(forth, k=25)
    assert numbers(reader.read(jumps)) == jumps


@pytest.mark.parametrize("scratch", [False, True])
def test_ping_pong_repeats_and_holds_give_the_same_pixels(
    made: Path, tmp_path: Path, scratch: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Blocks of 4 and of 5 pictures: several to a group of pictures, with seams inside it.
    size = 192 * 128 * 3 // 2
    monkeypatch.setattr(blocks, "MEMORY_BYTES", 4 * size)
    monkeypatch.setattr(blocks, "FILE_BYTES", 5 * size)
    video = facts(made / "one-gop.mp4")
    once = list(FrameReader(video, 1).read(range(40)))
    order = [
        *range(40),
        *range(38, -1, -1),
        0,
        0,
        1,
        2,
        2,
        2,
        *range(3, 40),
        39,
        39,
        17,
        16,
        15,
        30,
    ]
    reader = FrameReader(video, 1, tmp_path if scratch else None)
    for index, frame in zip(order, reader.read(order), strict=True):
        assert frame.index == index
        for got, want in zip(
            (frame.y, frame.u, frame.v), (once[index].y, once[index].u, once[index].v), strict=True
        ):
            assert torch.equal(got, want)
    assert not list(tmp_path.iterdir()), "the scratch file has no name"


def test_threads_do_not_change_a_pixel(made: Path) -> None:
    video = facts(made / "b-frames.mp4")
    pairs = zip(
        FrameReader(video, 1).read(range(40)), FrameReader(video, 4).read(range(40)), strict=True
    )
    assert all(torch.equal(a.y, b.y) and torch.equal(a.v, b.v) for a, b in pairs)


def test_variable_rate_shows_what_is_on_screen_in_the_middle_of_a_frame(tmp_path: Path) -> None:
    rng = random.Random(2)
    steps = [Fraction(rng.choice([1, 1, 2, 4]), 30) for _ in range(59)]
    times = [sum(steps[:n], Fraction(0)) for n in range(60)]
    path = write_clip(tmp_path / "vfr.mp4", Clip(frames=60, times=times, options=B_FRAMES))
    video = facts(path)
    assert video.variable_rate
    got = numbers(read(path))
    for frame, number in enumerate(got):
        middle = (frame + Fraction(1, 2)) / video.fps
        assert number == max(n for n in range(60) if times[n] <= middle)
    assert numbers(read(path, range(video.frames - 1, -1, -1))) == got[::-1]


def test_closing_the_iterator_closes_the_file(made: Path, tmp_path: Path) -> None:
    path = made / "b-frames.mp4"
    frames = FrameReader(facts(path), 1, tmp_path).read(range(99, -1, -1))
    next(frames)
    next(frames)
    assert _is_open(path)
    frames.close()
    assert not _is_open(path)


def _is_open(path: Path) -> bool:
    links = [link for link in Path("/proc/self/fd").iterdir() if link.exists()]
    return any(link.resolve() == path.resolve() for link in links)


def test_an_index_outside_the_grid_is_refused(made: Path) -> None:
    with pytest.raises(IndexError):
        read(made / "intra.mp4", [40])


@pytest.mark.parametrize("scratch", [False, True])
def test_a_descending_run_keeps_no_more_than_one_block(
    made: Path, tmp_path: Path, scratch: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = 192 * 128 * 3 // 2
    monkeypatch.setattr(blocks, "MEMORY_BYTES", 6 * size)
    monkeypatch.setattr(blocks, "FILE_BYTES", 6 * size)
    held: list[int] = []
    put = blocks.Blocks.put

    def counted(self: blocks.Blocks, number: int, planes: Planes) -> None:
        put(self, number, planes)
        held.append(len(self._memory) + len(self._slots))

    monkeypatch.setattr(blocks.Blocks, "put", counted)
    reader = FrameReader(facts(made / "one-gop.mp4"), 1, tmp_path if scratch else None)
    assert numbers(reader.read(range(149, -1, -1))) == list(range(149, -1, -1))
    assert max(held) == 6
    assert len(held) <= 150


@pytest.mark.parametrize("order", ["early first", "late first", "the same times"])
def test_recordings_put_one_behind_the_other_are_shown_whole(order: str, tmp_path: Path) -> None:
    """As `cat a.ts b.ts` makes them: the second one's time stamps begin anew, or hours later."""
    late = 5000 if order != "the same times" else 0
    parts = []
    for n, begin in enumerate((0, late) if order != "late first" else (late, 0)):
        times = [Fraction(begin) + Fraction(k, 25) for k in range(40)]
        clip = Clip(frames=40, times=times, container="mpegts", options={"bf": "2"})
        parts.append(write_clip(tmp_path / f"{n}.ts", clip).read_bytes())
    path = tmp_path / "both.ts"
    path.write_bytes(b"".join(parts * 3))
    shown = probe_video(path, Limits(max_video_s=10), RenderOptions())
    assert (shown.frames, shown.fps) == (240, Fraction(25))
    wanted = [*range(240), *range(238, -1, -1)]
    found = [number_of(frame.y) for frame in FrameReader(shown, 2).read(wanted)]
    assert found == [n % 40 for n in wanted]
    with pytest.raises(MediaLimitExceeded, match=r"lasts 8\.\d s, longer than 8 s"):
        probe_video(path, Limits(max_video_s=8), RenderOptions())
