"""Good files of every kind, and what a job does with a file."""

from __future__ import annotations

from pathlib import Path

from PIL import ExifTags, Image

from pipeline.errors import InputError
from pipeline.reading.audio import load_speech
from pipeline.reading.decode import FrameReader
from pipeline.reading.probe import probe_audio, probe_video
from pipeline.types import Limits
from schemas.request import RenderOptions
from tests.support.media import Clip, Tone, write_clip, write_picture, write_sound
from tests.support.profiles import DISPLAY_P3, make_profile

GOOD = [
    "a.mp4",
    "fast.mp4",
    "a.mkv",
    "a.ts",
    "a.avi",
    "a.mp3",
    "a.flac",
    "a.ogg",
    "a.wav",
    "a.m4a",
    "p.jpg",
    "p.png",
    "p.webp",
    "own.jpg",
    "own.png",
    "own.avif",
]
"""Of pictures, `own` have colours of their own and are read in another process."""


def make(path: Path) -> Path:
    sound = Tone(1.2)
    if path.name == "p.png":
        return write_picture(path, 161, 121)
    if path.name == "p.jpg":
        return write_picture(path, 160, 120, codec="mjpeg", pix_fmt="yuvj420p")
    if path.name == "p.webp":
        return write_picture(path, 160, 120, codec="libwebp", pix_fmt="yuv420p")
    if path.stem == "own":
        picture = Image.effect_noise((160, 120), 40).convert("RGB")
        picture.save(path, icc_profile=make_profile(DISPLAY_P3), exif=_turned())
        return path
    coders = {".mp3": "libmp3lame", ".flac": "flac", ".wav": "pcm_s16le", ".m4a": "aac"}
    if path.suffix in coders:
        return write_sound(path, Tone(1.2, codec=coders[path.suffix]))
    if path.suffix == ".ogg":
        return write_sound(path, Tone(1.2, codec="libopus", rate=48_000))
    fast = {"movflags": "faststart"} if path.name == "fast.mp4" else {}
    codec = "mpeg4" if path.suffix == ".avi" else "libx264"
    if path.suffix == ".avi":
        sound = Tone(1.2, codec="libmp3lame")
    return write_clip(path, Clip(frames=30, gop=10, codec=codec, sound=sound, muxer=fast))


def _turned() -> Image.Exif:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    exif[ExifTags.Base.Software] = "a camera's own program"
    return exif


def use(path: Path) -> set[str]:
    """Do with a file what a job does; the names of the typed errors, or what worked."""
    limits = Limits(max_video_s=60, max_audio_s=60)
    seen: set[str] = set()
    try:
        video = probe_video(path, limits, RenderOptions())
        count = min(video.frames, 60)
        for frame in FrameReader(video, 1).read([*range(count), *range(count - 1, -1, -1)]):
            assert (frame.width, frame.height) == (video.width, video.height)
        seen.add("video")
    except InputError as error:
        seen.add(type(error).__name__)
    try:
        facts = probe_audio(path, limits)
        assert load_speech(path, limits).duration == facts.duration
        seen.add("audio")
    except InputError as error:
        seen.add(type(error).__name__)
    return seen
