"""Does `detect` name the job of files of ours, also of those encoded anew, and of no others?

Every file of ours gets all labels as a render puts them. Half are then encoded anew by x264 at crf
28 with all metadata dropped, whole, at half size, or cropped. Others' files are scenes of the same
kind without labels, and real clips where `../shared/media` is there, encoded anew as well.
"""

from __future__ import annotations

import tempfile
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any

from pipeline.mark.applying import picture_marks, seal, words
from pipeline.mark.certificate import development_identity
from pipeline.mark.reading import read_labels
from pipeline.reading.decode import FrameReader
from pipeline.reading.probe import probe_audio, probe_video
from pipeline.types import AudioFacts, Frame, Limits, Marks, RenderSpec
from pipeline.writing.coding import Coding
from pipeline.writing.encode import Encoder
from schemas.render import EngineFacts
from schemas.request import RenderOptions
from tests.bench.clips import MEDIA
from tests.pipeline.mark.films import film, read, write
from tests.pipeline.writing.calls import BT709
from tests.support.media import Tone, write_sound

SIZES = ((512, 288), (448, 704), (640, 360), (512, 512), (854, 480))
ENGINE = EngineFacts(name="viseme", version="0.1.0", revision="r1")
WAYS = ("crf 28", "crf 28, half size", "crf 28, 5 % off each edge", "crf 28, 10 % off one edge")
_KNOWN = 1000
"""Other jobs that each digest is compared with."""


@dataclass
class Result:
    """Counts by what was done to the files."""

    files: Counter[str] = field(default_factory=Counter)
    found: Counter[str] = field(default_factory=Counter)
    named: Counter[str] = field(default_factory=Counter)
    blind: Counter[str] = field(default_factory=Counter)
    """Found by the watermark's own code, with no list of jobs."""
    seconds: list[float] = field(default_factory=list)

    def lines(self) -> Iterator[str]:
        """A table in Markdown."""
        yield "| files | number | found | right job | digest read without a list of jobs |"
        yield "| --- | --- | --- | --- | --- |"
        for way, number in self.files.items():
            told = f"{self.named[way]} | {self.blind[way]}" if way.startswith("ours") else "- | -"
            yield f"| {way} | {number} | {self.found[way]} | {told} |"
        yield f"{sum(self.seconds) / max(1, len(self.seconds)):.2f} s of processor time per detect"


def labels(files: int, frames: int) -> Iterator[str]:
    """Run `files` files of ours and as many of others, of that many frames."""
    result = Result()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        jobs = [str(uuid.uuid4()) for _ in range(files)]
        known = jobs + [str(uuid.uuid4()) for _ in range(_KNOWN)]
        for number, job in enumerate(jobs):
            path, way = ours(folder, number, job, frames)
            look(result, path, way, job, known)
        for number in range(files):
            path, way = others(folder, number, frames)
            look(result, path, way, None, known)
    yield from result.lines()


def look(result: Result, path: Path, way: str, job: str | None, known: list[str]) -> None:
    """Count what `detect` says of a file."""
    began = time.process_time()
    told: dict[str, Any] = read_labels(path, None, known)
    result.seconds.append(time.process_time() - began)
    result.files[way] += 1
    result.found[way] += bool(told["found"])
    result.named[way] += job is not None and told["job_id"] == job
    if job is not None:
        result.blind[way] += read_labels(path)["layers"]["watermark"]["status"] == "found"


def ours(folder: Path, number: int, job: str, frames: int) -> tuple[Path, str]:
    """A labelled file, every second one encoded anew, and what was done to it."""
    width, height = SIZES[number % len(SIZES)]
    path = labelled(folder, job, film(frames, seed=number, width=width, height=height))
    if number % 2 == 0:
        return path, "ours, as written"
    way = WAYS[number // 2 % len(WAYS)]
    across, down = int(width * 0.05) // 2 * 2, int(height * 0.05) // 2 * 2
    change: dict[str, Any] = {
        WAYS[0]: {},
        WAYS[1]: {"size": (width // 4 * 2, height // 4 * 2)},
        WAYS[2]: {"crop": (across, down, across, down)},
        WAYS[3]: {"crop": (2 * across, 0, 0, 0)},
    }
    return write(folder / "again.mp4", read(path), 28, **change[way]), f"ours, {way}"


def labelled(folder: Path, job: str, frames: list[Frame]) -> Path:
    """An MP4 with picture, words and credentials labelled as a render does it."""
    identity = development_identity(folder / "identity")
    audio = _speech(folder, len(frames))
    spec = RenderSpec(
        audio=audio.path,
        video=audio.path,
        output=folder / "ours.mp4",
        scratch=folder,
        job_id=job,
        marks=Marks(words=True, identity=identity, watermark=True),
    )
    width, height = frames[0].width, frames[0].height
    marks = picture_marks(spec, width, height)
    with Encoder(
        spec.output,
        Coding(width, height, Fraction(25), BT709, RenderOptions().crf),
        audio=audio,
        frames=len(frames),
        metadata=words(spec, ENGINE),
    ) as out:
        for frame in frames:
            out.write(marks.apply(frame))
        out.close()
    seal(spec, ENGINE)
    return spec.output


def others(folder: Path, number: int, frames: int) -> tuple[Path, str]:
    """A file without labels of ours."""
    clips = sorted(MEDIA.glob("*.mp4")) if MEDIA.is_dir() else []
    crf = 18 + number % 3 * 5
    path = folder / "theirs.mp4"
    if number % 2 and clips:
        clip = clips[number // 2 % len(clips)]
        video = probe_video(clip, Limits(), RenderOptions(max_height=480))
        reader = FrameReader(video, 2, folder)
        begin = number // (2 * len(clips)) * frames % max(1, video.frames - frames)
        picked = list(islice(reader.read(range(begin, video.frames)), frames))
        return write(path, picked, crf, preset="veryfast"), "others, real clips encoded anew"
    width, height = SIZES[number // 2 % len(SIZES)]
    made = film(frames, seed=10_000 + number, width=width, height=height)
    return write(path, made, crf, preset="veryfast"), "others, scenes"


def _speech(folder: Path, frames: int) -> AudioFacts:
    path = folder / "speech.wav"
    if not path.exists():
        tone = Tone(frames / 25, codec="pcm_s16le", rate=16_000, layout="mono")
        write_sound(path, tone)
    return probe_audio(path, Limits())
