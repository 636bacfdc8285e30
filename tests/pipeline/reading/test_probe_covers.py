"""Cover art is told from the film beside it."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pytest

from pipeline.errors import NoVideo
from pipeline.reading.probe import probe_audio
from pipeline.types import Limits
from tests.pipeline.reading.calls import facts
from tests.support.media import Clip, Tone, write_clip, write_picture


def _song_with_cover(path: Path) -> Path:
    picture = write_picture(path.with_suffix(".jpg"), 64, 64, codec="mjpeg", pix_fmt="yuvj420p")
    with av.open(str(path), "w") as container:
        sound = container.add_stream("libmp3lame", rate=44100)
        cover = container.add_stream("mjpeg", rate=25)
        assert isinstance(cover, av.VideoStream)
        cover.width = cover.height = 64
        cover.pix_fmt = "yuvj420p"
        cover.disposition = av.stream.Disposition.attached_pic
        packet: av.Packet[Any] = av.Packet(picture.read_bytes())
        packet.stream = cover
        packet.pts = packet.dts = 0
        packet.time_base = Fraction(1, 25)
        container.start_encoding()
        container.mux(packet)
        assert isinstance(sound, av.AudioStream)
        frame = av.AudioFrame("fltp", "stereo", 4410)
        frame.sample_rate = 44100
        container.mux(sound.encode(frame))
        container.mux(sound.encode(None))
    return path


def _film_and_jpeg(path: Path, pictures: int) -> Path:
    """Ten pictures of H.264, 96 px wide, after so many of 256 in JPEG."""
    with av.open(str(path), "w") as container:
        streams = []
        kinds = (("mjpeg", 256, "yuvj420p", pictures), ("libx264", 96, "yuv420p", 10))
        for codec, side, kind, count in kinds:
            stream = container.add_stream(codec, rate=25)
            assert isinstance(stream, av.VideoStream)
            stream.width = stream.height = side
            stream.pix_fmt = kind
            streams.append((stream, count))
        for stream, count in streams:
            for number in range(count):
                frame = av.VideoFrame(stream.width, stream.height, str(stream.pix_fmt))
                frame.pts = number
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("kind", ["mkv", "mov"])
def test_cover_art_that_is_a_track_like_any_other_is_not_the_film(
    kind: str, tmp_path: Path
) -> None:
    found = facts(_film_and_jpeg(tmp_path / f"film.{kind}", 1))
    assert (found.codec, found.width, found.frames) == ("h264", 96, 10)


def test_a_film_coded_as_covers_are_is_not_taken_for_one_beside_its_preview(tmp_path: Path) -> None:
    found = facts(_film_and_jpeg(tmp_path / "film.mov", 10))
    assert (found.codec, found.width, found.frames) == ("mjpeg", 256, 10)


def test_cover_art_is_not_a_video(tmp_path: Path) -> None:
    song = _song_with_cover(tmp_path / "song.mp3")
    with av.open(str(song)) as container:
        assert container.streams.video, "the song has its cover"
    with pytest.raises(NoVideo):
        facts(song)
    assert probe_audio(song, Limits()).codec == "mp3"


def test_cover_art_of_another_size_does_not_replace_the_video(tmp_path: Path) -> None:
    found = facts(write_clip(tmp_path / "clip.mp4", Clip(frames=5, sound=Tone(0.2))))
    assert found.codec == "h264"
