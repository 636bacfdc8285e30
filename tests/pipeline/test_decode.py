"""Reading grid frames: the right picture, upright, in its own colours, in any order."""

from __future__ import annotations

import os
import random
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import torch

from pipeline import blocks
from pipeline.decode import FrameReader
from pipeline.errors import InputUnreadable, MediaLimitExceeded
from pipeline.probe import probe_video
from pipeline.types import Frame, Limits, VideoFacts
from pipeline.upright import Planes
from schemas.request import RenderOptions
from tests.support.media import BITS, Clip, number_of, picture, write_clip, write_picture

NTSC = Fraction(30_000, 1001)
B_FRAMES = {"x264-params": "bframes=3:b-adapt=0:b-pyramid=normal"}


def facts(path: Path, **options: object) -> VideoFacts:
    return probe_video(path, Limits(), RenderOptions.model_validate(options))


def read(path: Path, indices: Iterable[int] | None = None, **options: object) -> list[Frame]:
    video = facts(path, **options)
    return list(FrameReader(video, 1).read(range(video.frames) if indices is None else indices))


def numbers(frames: Iterable[Frame]) -> list[int]:
    return [number_of(frame.y) for frame in frames]


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


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
def test_pictures_are_upright(tmp_path: Path, rotation: int) -> None:
    path = write_clip(tmp_path / "turned.mov", Clip(frames=8, rotation=rotation))
    got = read(path)
    assert numbers(got) == list(range(8))
    assert all(plane.is_contiguous() for frame in got for plane in (frame.y, frame.u, frame.v))


def test_mirrored_pictures_are_mirrored_back(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "mirror.mp4", Clip(frames=8, mirrored=True))
    assert numbers(read(path)) == list(range(8))


def _lossless(path: Path, width: int, height: int, pix_fmt: str, value_range: int) -> list[object]:
    """Random smooth planes, stored without loss; returns them."""
    rng = np.random.default_rng(3)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = width, height, pix_fmt
        stream.codec_context.color_range = value_range
        stream.codec_context.colorspace = 1
        planes: list[object] = []
        frame = av.VideoFrame(width, height, pix_fmt)
        wide = "10" in pix_fmt
        for plane in frame.planes:
            top = 1024 if wide else 256
            values = rng.integers(0, top, (plane.height, plane.width))
            room = np.frombuffer(memoryview(plane), np.uint16 if wide else np.uint8)
            room = room.reshape(plane.height, -1)
            room[:, : plane.width] = values
            planes.append(values)
        frame.pts = 0
        frame.color_range = value_range
        frame.colorspace = 1
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return planes


@pytest.mark.parametrize("value_range", [1, 2])
def test_planes_arrive_bit_by_bit_with_their_range(tmp_path: Path, value_range: int) -> None:
    path = tmp_path / "exact.mkv"
    planes = _lossless(path, 62, 46, "yuv420p", value_range)
    frame = read(path)[0]
    assert facts(path).color.full_range is (value_range == 2)
    for got, want in zip((frame.y, frame.u, frame.v), planes, strict=True):
        assert np.array_equal(got.numpy(), np.asarray(want))


@pytest.mark.parametrize("value_range", [1, 2])
def test_ten_bits_become_eight_without_a_change_of_range(tmp_path: Path, value_range: int) -> None:
    path = tmp_path / "ten.mkv"
    planes = _lossless(path, 62, 46, "yuv420p10le", value_range)
    frame = read(path)[0]
    for got, want in zip((frame.y, frame.u, frame.v), planes, strict=True):
        scaled = np.asarray(want) / (4 if value_range == 1 else 1023 / 255)
        off = got.numpy() - scaled.clip(0, 255)
        assert np.abs(off).max() < 2, "dithered, not rounded"
        assert abs(off.mean()) < 0.5


def test_full_resolution_chroma_is_averaged_and_luma_untouched(tmp_path: Path) -> None:
    path = tmp_path / "full.mkv"
    luma = np.asarray(_lossless(path, 62, 46, "yuv444p", 2)[0])
    assert np.array_equal(read(path)[0].y.numpy(), luma)


def test_an_odd_edge_is_cropped_not_squeezed(tmp_path: Path) -> None:
    path = tmp_path / "odd.mkv"
    planes = _lossless(path, 63, 47, "yuv420p", 1)
    frame = read(path)[0]
    assert np.array_equal(frame.y.numpy(), np.asarray(planes[0])[:46, :62])
    assert np.array_equal(frame.u.numpy(), np.asarray(planes[1])[:23, :31])


def test_a_picture_becomes_limited_range_by_the_matrix_it_is_labelled_with(tmp_path: Path) -> None:
    path = write_picture(tmp_path / "p.png", 320, 240)
    frame = read(path)[0]
    rgb = picture(5, 320, 240).astype(np.float64)
    luma = 16 + (0.299 * rgb[..., 0] + 0.587 * rgb[..., 1] + 0.114 * rgb[..., 2]) * 219 / 255
    assert np.abs(frame.y.numpy() - luma).mean() < 1.0
    assert len(read(path, [0, 0, 0])) == 3


def test_scaling_keeps_the_picture(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.mp4", Clip(width=768, height=512, frames=6))
    small = read(path, max_height=256)
    assert (small[0].width, small[0].height) == (384, 256)
    assert [_scaled_number(frame) for frame in small] == list(range(6))


def _scaled_number(frame: Frame) -> int:
    step = frame.width // BITS
    row = frame.y[1].float()
    return sum(int(row[b * step + step // 2] > 125) << b for b in range(BITS))


def test_a_new_size_in_the_middle_is_scaled_to_the_first(tmp_path: Path) -> None:
    ordered = {"bf": "0"}
    first = write_clip(tmp_path / "a.ts", Clip(frames=20, options=ordered))
    times = [Fraction(n + 20, 25) for n in range(20)]
    second = write_clip(
        tmp_path / "b.ts", Clip(width=96, height=64, frames=20, times=times, options=ordered)
    )
    path = tmp_path / "both.ts"
    path.write_bytes(first.read_bytes() + second.read_bytes())
    got = read(path)
    assert {(frame.width, frame.height) for frame in got} == {(192, 128)}
    assert len(got) == 40


def _damaged(path: Path, first: int, last: int) -> Path:
    """Overwrite the data of some packets in file order."""
    with av.open(str(path)) as container:
        spots = [(p.pos, p.size) for p in container.demux(video=0) if p.size]
    data = bytearray(path.read_bytes())
    for position, size in spots[first:last]:
        assert position is not None
        data[position : position + size] = os.urandom(1) * size
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("codec", ["libx264", "mjpeg"])
def test_broken_packets_hold_a_picture_and_shift_nothing(tmp_path: Path, codec: str) -> None:
    options = {"bf": "0"} if codec == "libx264" else {}
    pix_fmt = "yuv420p" if codec == "libx264" else "yuvj420p"
    clip = Clip(frames=60, gop=12, codec=codec, pix_fmt=pix_fmt, options=options)
    path = _damaged(write_clip(tmp_path / "clip.mov", clip), 26, 30)
    got = numbers(read(path))
    assert len(got) == 60
    assert got[:26] == list(range(26))
    assert got[36:] == list(range(36, 60))
    assert set(got[26:30]) <= {25}


def test_a_broken_group_holds_the_last_good_picture_also_backwards(tmp_path: Path) -> None:
    clip = Clip(frames=60, gop=10, options={"bf": "0"})
    path = _damaged(write_clip(tmp_path / "clip.mp4", clip), 20, 30)
    want = [*range(20), *[19] * 10, *range(30, 60)]
    assert numbers(read(path)) == want
    assert numbers(read(path, range(59, -1, -1))) == want[::-1]
    assert numbers(read(path, [25, 29, 31, 20])) == [19, 19, 31, 19]


def test_a_broken_beginning_shows_the_first_good_picture(tmp_path: Path) -> None:
    clip = Clip(frames=30, gop=10, options={"bf": "0"})
    path = _damaged(write_clip(tmp_path / "clip.mp4", clip), 0, 10)
    assert numbers(read(path)) == [*[10] * 10, *range(10, 30)]


def test_a_cut_tail_is_not_counted(tmp_path: Path) -> None:
    path = write_clip(
        tmp_path / "clip.mp4", Clip(frames=60, muxer={"movflags": "faststart"}, options={"bf": "0"})
    )
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 2 // 3])
    got = numbers(read(path))
    assert 20 < len(got) < 60
    assert got[:-1] == list(range(len(got) - 1))
    assert got[-1] in (len(got) - 1, len(got) - 2)


def test_nothing_that_decodes_is_an_error(tmp_path: Path) -> None:
    path = _damaged(write_clip(tmp_path / "clip.mp4", Clip(frames=20)), 0, 20)
    with pytest.raises(InputUnreadable):
        facts(path)


def test_closing_the_iterator_closes_the_file(made: Path, tmp_path: Path) -> None:
    path = made / "b-frames.mp4"
    frames = FrameReader(facts(path), 1, tmp_path).read(range(99, -1, -1))
    next(frames)
    next(frames)
    assert _is_open(path)
    frames.close()  # type: ignore[attr-defined]
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
    facts = probe_video(path, Limits(max_video_s=10), RenderOptions())
    assert (facts.frames, facts.fps) == (240, Fraction(25))
    wanted = [*range(240), *range(238, -1, -1)]
    found = [number_of(frame.y) for frame in FrameReader(facts, 2).read(wanted)]
    assert found == [n % 40 for n in wanted]
    with pytest.raises(MediaLimitExceeded, match=r"lasts 8\.\d s, longer than 8 s"):
        probe_video(path, Limits(max_video_s=8), RenderOptions())
