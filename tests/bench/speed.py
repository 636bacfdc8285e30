"""How fast `render` is beside plain decode + encode of the same pictures, in one run."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from fractions import Fraction
from functools import partial
from pathlib import Path
from unittest.mock import patch

from pipeline import render as story
from pipeline.reading.decode import FrameReader
from pipeline.reading.probe import probe_audio, probe_video
from pipeline.stopwatch import Stopwatch
from pipeline.timeline import Timeline
from pipeline.types import Limits, RenderSpec, Tick
from pipeline.writing.output import open_output
from schemas.render import RenderReport
from schemas.request import RenderOptions
from tests.bench import clips

Cost = tuple[float, float]
"""Wall seconds and processor seconds."""


def _clock() -> Cost:
    return time.perf_counter(), time.process_time()


def _since(start: Cost) -> Cost:
    wall, busy = _clock()
    return wall - start[0], busy - start[1]


def plain(spec: RenderSpec) -> Cost:
    """The cost of decoding and encoding the frames of a job, with nothing in between."""
    started = _clock()
    audio = probe_audio(spec.audio, spec.limits)
    video = probe_video(spec.video, spec.limits, spec.options)
    timeline = Timeline.fit(audio.duration, video.fps, video.frames)
    encoder = open_output(spec, {}, video, audio, timeline)
    sources = (timeline.source(n) for n in range(timeline.frames))
    with encoder:
        for frame in FrameReader(video, spec.threads).read(sources):
            encoder.write(frame)
        encoder.close()
    return _since(started)


def rendered(spec: RenderSpec) -> tuple[Cost, RenderReport]:
    """The cost of the whole render; the report's timings are processor time of each stage's thread.

    x264's own threads and the phone recogniser's are in no stage.
    """
    started = _clock()
    with patch.object(story, "Stopwatch", partial(Stopwatch, time.thread_time)):
        report = story.render(spec, _ignore)
    return _since(started), report


def _ignore(tick: Tick) -> None:
    pass


def speed(seconds: float, threads: int, engine: str = "viseme", lines: int = 720) -> list[str]:
    """One table: a silent and a talking reference at 25 fps, `seconds` of speech each."""
    return of_both(_case, seconds, threads, engine, lines)


def of_both(
    case: Callable[[str, RenderSpec], list[str]],
    seconds: float,
    threads: int,
    engine: str,
    lines: int = 720,
) -> list[str]:
    """What a case says of a silent and of a talking reference at 25 fps."""
    said: list[str] = []
    for name, source in (("silent", clips.reference()), ("talking", clips.talking())):
        with tempfile.TemporaryDirectory(prefix="f2f-bench-") as folder:
            said += case(name, _spec(source, Path(folder), seconds, threads, engine, lines))
    return said


def _spec(
    source: Path, folder: Path, seconds: float, threads: int, engine: str, lines: int
) -> RenderSpec:
    video = clips.make_720p25(source, folder / "reference.mp4", seconds, lines=lines)
    audio = clips.cut_speech(clips.speech(), folder / "speech.wav", seconds)
    (folder / "scratch").mkdir()
    return RenderSpec(
        audio=audio,
        video=video,
        output=folder / "out.mp4",
        scratch=folder / "scratch",
        engine=engine,
        options=RenderOptions(),
        limits=Limits(),
        threads=threads,
    )


def _case(name: str, spec: RenderSpec) -> list[str]:
    bare = plain(spec)
    took, report = rendered(spec)
    frames = report.media.frames
    length = float(Fraction(report.media.frames) / Fraction(report.media.fps))
    lines = [
        f"{name} reference, {report.media.width}x{report.media.height}, {frames} frames,"
        f" {spec.threads} threads:",
        _line("render", length, took, frames),
        _line("decode + encode", length, bare, frames),
        f"  render / plain   {took[0] / bare[0]:6.2f} (processor {took[1] / bare[1]:.2f})",
    ]
    stages = {name: spent for name, spent in report.timings_ms.items() if name != "total"}
    stages["other threads"] = 1e3 * took[1] - sum(stages.values())
    for stage, spent in sorted(stages.items(), key=lambda item: -item[1]):
        lines.append(
            f"    {stage:<14} processor {spent / frames:6.2f} ms/frame,"
            f" {spent / 1e3 / bare[1]:5.2f} of plain"
        )
    return lines


def _line(what: str, length: float, cost: Cost, frames: int) -> str:
    wall, busy = (1e3 * part / frames for part in cost)
    return (
        f"  {what:<16} {length / cost[0]:6.2f} x real time"
        f"  ({wall:.1f} ms/frame, processor {busy:.1f} ms/frame)"
    )
