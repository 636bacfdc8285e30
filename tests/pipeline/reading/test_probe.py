"""Probing: limits first, then facts that hold."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pytest
from PIL import Image

from pipeline.errors import InputUnreadable, MediaLimitExceeded, NoAudio, NoVideo
from pipeline.reading.probe import probe_audio, probe_video
from pipeline.types import Color, Limits, VideoFacts
from schemas.request import RenderOptions
from tests.support.media import Clip, Tone, write_clip, write_picture, write_sound

MEDIA = Path(__file__).parents[4] / "shared" / "media"
NTSC = Fraction(30_000, 1001)


def probe(path: Path, limits: Limits | None = None, **options: object) -> VideoFacts:
    return probe_video(path, limits or Limits(), RenderOptions.model_validate(options))


@pytest.mark.parametrize("name", ["clip.mp4", "clip.mov", "clip.mkv", "clip.ts", "clip.flv"])
@pytest.mark.parametrize("fps", [Fraction(25), NTSC, Fraction(24_000, 1001), Fraction(25, 2)])
def test_constant_rate_is_exact_in_every_container(
    tmp_path: Path, name: str, fps: Fraction
) -> None:
    facts = probe(write_clip(tmp_path / name, Clip(fps=fps, frames=75)))
    assert (facts.fps, facts.frames, facts.variable_rate) == (fps, 75, False)


def test_jittering_time_stamps_still_count_as_a_constant_rate(tmp_path: Path) -> None:
    times = [Fraction(n, 30) + Fraction(n * 7 % 5, 500) for n in range(90)]
    facts = probe(write_clip(tmp_path / "jitter.mp4", Clip(frames=90, times=times)))
    assert (facts.fps, facts.frames, facts.variable_rate) == (Fraction(30), 90, False)


def test_variable_rate_becomes_its_average(tmp_path: Path) -> None:
    times = [Fraction(n, 30) + (Fraction(1) if n >= 15 else 0) for n in range(30)]
    facts = probe(write_clip(tmp_path / "vfr.mp4", Clip(frames=30, times=times)))
    assert facts.variable_rate
    assert abs(facts.duration - 2) < Fraction(1, 30)
    assert facts.frames == 30


@pytest.mark.parametrize(
    ("rotation", "size"), [(0, (192, 128)), (90, (192, 128)), (180, (192, 128)), (270, (192, 128))]
)
def test_size_is_that_of_the_upright_picture(
    tmp_path: Path, rotation: int, size: tuple[int, int]
) -> None:
    facts = probe(write_clip(tmp_path / "turned.mp4", Clip(frames=3, rotation=rotation)))
    assert (facts.width, facts.height) == size
    assert facts.rotation == rotation


def test_odd_sizes_are_cropped_to_even(tmp_path: Path) -> None:
    clip = Clip(width=641, height=359, frames=2, pix_fmt="yuv444p")
    facts = probe(write_clip(tmp_path / "odd.mp4", clip))
    assert (facts.width, facts.height) == (640, 358)
    assert facts.scale == 1.0


def test_max_height_scales_down_and_never_up(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.mp4", Clip(width=320, height=240, frames=2))
    small, same = probe(path, max_height=101), probe(path, max_height=480)
    assert (small.width, small.height) == (134, 100)
    assert (same.width, same.height) == (320, 240)
    assert (small.scale, same.scale) == (100 / 240, 1.0)


def test_max_height_is_that_of_the_upright_picture(tmp_path: Path) -> None:
    clip = Clip(width=120, height=240, frames=2, rotation=90)
    facts = probe(write_clip(tmp_path / "phone.mp4", clip), max_height=120)
    assert (facts.width, facts.height) == (60, 120)


def test_pixels_that_are_not_square_are_made_so(tmp_path: Path) -> None:
    facts = probe(write_clip(tmp_path / "wide.mp4", Clip(frames=2, aspect=Fraction(4, 3))))
    assert (facts.width, facts.height) == (256, 128)


def test_color_tags_are_copied(tmp_path: Path) -> None:
    clip = Clip(frames=2, color=(5, 2, 5, 6))
    facts = probe(write_clip(tmp_path / "pal.mp4", clip))
    assert (facts.color, facts.source) == (Color(5, True, 5, 6), None)


def test_tags_of_high_dynamic_range_are_those_of_the_source_alone(tmp_path: Path) -> None:
    clip = Clip(frames=2, color=(9, 2, 9, 16))
    facts = probe(write_clip(tmp_path / "pq.mp4", clip))
    assert (facts.color, facts.source) == (Color(1, False, 1, 1), Color(9, True, 9, 16))


@pytest.mark.parametrize(("height", "matrix"), [(480, 6), (720, 1)])
def test_missing_color_tags_follow_the_height(tmp_path: Path, height: int, matrix: int) -> None:
    facts = probe(write_clip(tmp_path / "clip.mp4", Clip(width=320, height=height, frames=1)))
    assert facts.color == Color(matrix, False, matrix, matrix)


@pytest.mark.parametrize(
    ("name", "codec", "pix_fmt", "full"),
    [
        ("p.png", "png", "rgb24", False),
        ("p.jpg", "mjpeg", "yuvj420p", True),
        ("p.webp", "libwebp", "yuv420p", False),
    ],
)
def test_pictures_are_stills(
    tmp_path: Path, name: str, codec: str, pix_fmt: str, full: bool
) -> None:
    facts = probe(write_picture(tmp_path / name, 321, 241, codec=codec, pix_fmt=pix_fmt))
    assert (facts.still, facts.fps, facts.frames) == (True, Fraction(25), 1)
    assert (facts.width, facts.height, facts.has_audio) == (320, 240, False)
    assert facts.color.full_range is full


def test_a_video_of_one_frame_is_a_still(tmp_path: Path) -> None:
    facts = probe(write_clip(tmp_path / "one.mp4", Clip(frames=1)))
    assert (facts.still, facts.frames, facts.fps) == (True, 1, Fraction(25))


@pytest.mark.parametrize("sound", [None, Tone(0.5)])
def test_the_reference_s_own_sound_is_noticed(tmp_path: Path, sound: Tone | None) -> None:
    path = write_clip(tmp_path / "clip.mp4", Clip(frames=5, sound=sound))
    assert probe(path).has_audio is (sound is not None)


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
    facts = probe(_film_and_jpeg(tmp_path / f"film.{kind}", 1))
    assert (facts.codec, facts.width, facts.frames) == ("h264", 96, 10)


def test_a_film_coded_as_covers_are_is_not_taken_for_one_beside_its_preview(tmp_path: Path) -> None:
    facts = probe(_film_and_jpeg(tmp_path / "film.mov", 10))
    assert (facts.codec, facts.width, facts.frames) == ("mjpeg", 256, 10)


def test_cover_art_is_not_a_video(tmp_path: Path) -> None:
    song = _song_with_cover(tmp_path / "song.mp3")
    with av.open(str(song)) as container:
        assert container.streams.video, "the song has its cover"
    with pytest.raises(NoVideo):
        probe(song)
    assert probe_audio(song, Limits()).codec == "mp3"


def test_cover_art_of_another_size_does_not_replace_the_video(tmp_path: Path) -> None:
    facts = probe(write_clip(tmp_path / "clip.mp4", Clip(frames=5, sound=Tone(0.2))))
    assert facts.codec == "h264"


@pytest.mark.parametrize(
    ("name", "tone"),
    [
        ("a.wav", Tone(1.5, codec="pcm_s16le", rate=22_050, layout="mono")),
        ("a.wav", Tone(1.5, codec="pcm_s24le", rate=48_000)),
        ("a.wav", Tone(1.5, codec="pcm_u8", rate=8_000, layout="mono")),
        ("a.wav", Tone(1.5, codec="pcm_f32le", rate=96_000)),
        ("a.flac", Tone(1.5, codec="flac", rate=44_100)),
        ("a.mp3", Tone(1.5, codec="libmp3lame", rate=44_100)),
        ("a.ogg", Tone(1.5, codec="libopus", rate=48_000)),
        ("a.m4a", Tone(1.5, rate=48_000, layout="5.1")),
    ],
)
def test_sound_is_measured_by_decoded_samples(tmp_path: Path, name: str, tone: Tone) -> None:
    facts = probe_audio(write_sound(tmp_path / name, tone), Limits())
    assert facts.rate == tone.rate
    assert facts.channels == av.AudioLayout(tone.layout).nb_channels
    # A lossy coder works in blocks; all others keep the length to the sample.
    slack = 0 if tone.codec != "aac" else Fraction(1024, tone.rate)
    assert abs(facts.duration - Fraction(3, 2)) <= slack


def test_speech_may_come_from_a_video(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "talk.mp4", Clip(frames=25, sound=Tone(1.0)))
    assert abs(probe_audio(path, Limits()).duration - 1) < Fraction(1, 20)


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    silent = write_clip(tmp_path / "silent.mp4", Clip(frames=3))
    sound = write_sound(tmp_path / "a.wav", Tone(0.2, codec="pcm_s16le"))
    with pytest.raises(NoAudio):
        probe_audio(silent, Limits())
    with pytest.raises(NoVideo):
        probe(sound)


def test_sound_without_a_sample_is_no_sound(tmp_path: Path) -> None:
    path = write_sound(tmp_path / "a.wav", Tone(0.2, codec="pcm_s16le"))
    header = path.read_bytes()
    (tmp_path / "none.wav").write_bytes(header[: header.index(b"data") + 8])
    with pytest.raises((NoAudio, InputUnreadable)):
        probe_audio(tmp_path / "none.wav", Limits())


@pytest.mark.parametrize(
    ("limits", "name"),
    [
        (Limits(max_bytes=1000), "max_bytes"),
        (Limits(max_side=191), "max_side"),
        (Limits(max_pixels=192 * 128 - 1), "max_pixels"),
        (Limits(max_video_s=1.0), "max_video_s"),
        (Limits(max_streams=1), "max_streams"),
    ],
)
@pytest.mark.parametrize("kind", ["clip.mp4", "clip.mkv", "clip.ts"])
def test_each_limit_of_a_video_names_itself_and_the_value(
    tmp_path: Path, limits: Limits, name: str, kind: str
) -> None:
    path = write_clip(tmp_path / kind, Clip(frames=40, sound=Tone(1.0)))
    with pytest.raises(MediaLimitExceeded) as caught:
        probe(path, limits)
    assert caught.value.detail["limit"] == name
    assert caught.value.detail["value"] > caught.value.detail["max"]


@pytest.mark.parametrize("kind", ["a.wav", "a.mp3", "a.m4a"])
def test_speech_that_lasts_too_long_is_refused(tmp_path: Path, kind: str) -> None:
    codec = {"wav": "pcm_s16le", "mp3": "libmp3lame", "m4a": "aac"}[kind[2:]]
    path = write_sound(tmp_path / kind, Tone(2.0, codec=codec))
    with pytest.raises(MediaLimitExceeded) as caught:
        probe_audio(path, Limits(max_audio_s=1.5))
    assert caught.value.detail["limit"] == "max_audio_s"


def test_probing_ends_when_its_time_is_over(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.mp4", Clip(frames=10, sound=Tone(0.4)))
    limits = Limits(probe_timeout_s=0.0)
    with pytest.raises(MediaLimitExceeded) as caught:
        probe(path, limits)
    assert caught.value.detail["limit"] == "probe_timeout_s"
    with pytest.raises(MediaLimitExceeded):
        probe_audio(path, limits)


@pytest.mark.media
def test_a_real_clip_of_variable_rate() -> None:
    path = MEDIA / "v10_retalk1_700_vfr.mp4"
    if not path.exists():
        pytest.skip(f"{path} is not here")
    facts = probe(path)
    assert (facts.fps, facts.frames, facts.variable_rate) == (Fraction(1350, 61), 135, True)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("still.tiff", "read, which are MP4"),
        ("moves.webp", "an animated WebP.* as MP4 or GIF"),
        ("moves.png", "an animated PNG.* as MP4 or GIF"),
    ],
)
def test_pictures_of_kinds_that_are_not_read_say_which_are(
    tmp_path: Path, name: str, message: str
) -> None:
    path = tmp_path / name
    pictures = [Image.new("RGB", (96, 64), shade) for shade in ("red", "blue")]
    pictures[0].save(path, save_all=name.startswith("moves"), append_images=pictures[1:])
    with pytest.raises(InputUnreadable, match=message):
        probe(path)


def test_a_film_in_avif_is_one_and_not_its_title_picture(tmp_path: Path) -> None:
    clip = Clip(width=96, height=64, frames=6, codec="libsvtav1", container="avif")
    facts = probe(write_clip(tmp_path / "film.avif", clip))
    assert (facts.frames, facts.fps, facts.still) == (6, Fraction(25), False)
