"""Films that begin in the midst of another one, in containers that do not tell all times."""

from __future__ import annotations

import gc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import pytest

from pipeline.reading.decode import FrameReader
from pipeline.reading.probe import probe_video
from pipeline.types import Limits
from schemas.request import RenderOptions
from tests.pipeline.reading.calls import B_FRAMES, numbers, read
from tests.support.media import Clip, write_clip


def _copied(source: Path, made: Path, wanted: Callable[[int, Any], bool], zero: int) -> Path:
    """Some packets of a film, with time 0 at that of its packet `zero`; nothing is shifted."""
    options = {"avoid_negative_ts": "disabled"}
    with (
        av.open(str(source)) as film,
        av.open(str(made), "w", container_options=options) as container,
    ):
        packets = [packet for packet in film.demux(video=0) if packet.size]
        begin = packets[zero].pts or 0
        stream = container.add_stream_from_template(film.streams.video[0])
        for place, packet in enumerate(packets):
            if wanted(place, packet):
                assert packet.pts is not None
                assert packet.dts is not None
                packet.pts, packet.dts = packet.pts - begin, packet.dts - begin
                packet.stream = stream
                container.mux(packet)
    return made


def test_what_lies_before_the_zero_of_a_matroska_file_shifts_nothing(tmp_path: Path) -> None:
    options = {"x264-params": "open-gop=1:keyint=20:bframes=3:b-adapt=0:scenecut=0"}
    clip = write_clip(tmp_path / "clip.mp4", Clip(frames=60, gop=20, options=options))
    with av.open(str(clip)) as film:
        seen = [(p.pts or 0, p.is_keyframe) for p in film.demux(video=0) if p.size]
        step = min(pts for pts, _ in seen if pts)
    key = [n for n, (_, is_key) in enumerate(seen) if is_key][1]
    base = seen[key][0]
    assert any(pts < base for pts, _ in seen[key:])  # pictures that lead to the cut
    cut = _copied(clip, tmp_path / "cut.mkv", lambda n, _: n >= key, key)
    want = [*range(base // step, 60)]
    assert numbers(read(cut)) == want
    assert numbers(read(cut, range(len(want) - 1, -1, -1))) == want[::-1]


def test_a_film_that_lacks_its_first_keyframe_is_read_in_both_directions(tmp_path: Path) -> None:
    options = {"bf": "0"}
    clip = write_clip(tmp_path / "clip.mp4", Clip(frames=60, gop=20, options=options))
    cut = _copied(clip, tmp_path / "cut.mp4", lambda n, _: n >= 7, 7)
    want = [*[20] * 13, *range(20, 60)]
    assert numbers(read(cut)) == want
    assert numbers(read(cut, range(len(want) - 1, -1, -1))) == want[::-1]


@pytest.mark.parametrize("options", [B_FRAMES, {"bf": "0"}])
def test_h264_in_windows_media_comes_in_order_in_both_directions(
    tmp_path: Path, options: dict[str, str]
) -> None:
    path = write_clip(tmp_path / "clip.wmv", Clip(frames=60, gop=25, options=options))
    assert numbers(read(path)) == [*range(60)]
    assert numbers(read(path, range(59, -1, -1))) == [*range(59, -1, -1)]


def test_joined_matroska_is_the_same_in_both_directions(tmp_path: Path) -> None:
    clip = Clip(frames=40, gop=20, options={"bf": "0"})
    whole = write_clip(tmp_path / "clip.mkv", clip).read_bytes()
    joined = tmp_path / "joined.mkv"
    joined.write_bytes(whole + whole)
    want = [*range(40), *range(40)]
    assert numbers(read(joined)) == want
    assert numbers(read(joined, [79, *range(79, -1, -1)]))[1:] == want[::-1]


def test_a_joined_file_that_was_read_backwards_is_closed_with_its_iterator(tmp_path: Path) -> None:
    whole = write_clip(tmp_path / "clip.mkv", Clip(frames=40, options={"bf": "0"})).read_bytes()
    joined = tmp_path / "joined.mkv"
    joined.write_bytes(whole + whole)
    facts = probe_video(joined, Limits(), RenderOptions())
    gc.disable()
    try:
        frames = FrameReader(facts, 1).read([79, 5, 6])
        assert next(frames).index == 79
        assert next(frames).index == 5
        assert opened(joined) == 2
        frames.close()
        assert opened(joined) == 0
    finally:
        gc.enable()


def opened(path: Path) -> int:
    """How often this process has a file open."""
    there = [place for place in Path("/proc/self/fd").iterdir() if place.exists()]
    return sum(place.samefile(path) for place in there)


def test_a_film_to_whose_start_no_seek_leads_is_read_backwards(tmp_path: Path) -> None:
    options = {"bf": "0"}
    clip = write_clip(tmp_path / "clip.mp4", Clip(frames=60, gop=60, options=options))
    cut = _copied(clip, tmp_path / "cut.mkv", lambda *_: True, 25)  # its only keyframe has no time
    want = [*range(25, 60)]
    assert numbers(read(cut)) == want
    assert numbers(read(cut, range(34, -1, -1))) == want[::-1]
