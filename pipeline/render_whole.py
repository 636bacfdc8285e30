"""The story of a job on an engine that renders whole files: theirs the picture, ours the rest.

    probe ─ engine ─ probe ─ [decode → label → encode] ─ sign ─ verify

The result is encoded once more, so that clock, sound, labels and words in the container are those
of every other engine.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path

from pipeline.engines.whole import WholeEngine, WholeJob
from pipeline.errors import InputError, OutputInvalid
from pipeline.mark.applying import picture_marks, seal, words
from pipeline.reading.channels import sound_warnings
from pipeline.reading.decode import FrameReader
from pipeline.reading.joined import joined_warnings
from pipeline.reading.probe import probe_audio, probe_video
from pipeline.reading.tone_map import tone_warnings
from pipeline.stopwatch import Stopwatch
from pipeline.stream import prefetch
from pipeline.timeline import Timeline, rate_warnings
from pipeline.types import AudioFacts, Frame, OnTick, RenderSpec, Tick, VideoFacts
from pipeline.writing.encode import Encoder
from pipeline.writing.output import falling_back_to_x264, open_output
from pipeline.writing.verify import verify
from schemas.codes import Stage
from schemas.render import EngineFacts, RenderReport
from schemas.request import Loop, RenderOptions, exact_fps

AHEAD = 16
"""Frames that decoding may be ahead."""
SHORT_S = Fraction(1)
"""Seconds by which an engine's picture may miss the speech."""


def render_whole(
    spec: RenderSpec, engine: WholeEngine, watch: Stopwatch, on_tick: OnTick
) -> RenderReport:
    """Render one job; raises as `pipeline.render.render` does."""
    with watch.stage("probe"):
        audio = probe_audio(spec.audio, spec.limits)
        video = probe_video(spec.video, spec.limits, spec.options)
    job = WholeJob(audio, video, spec.options, spec.limits, spec.scratch, spec.threads)
    with watch.stage("generate"):
        made = engine.render_whole(job, on_tick)
    with watch.stage("probe"):
        result = _probe_result(spec, job, made)
    options = spec.options
    fps = exact_fps(options.fps) if options.fps is not None else video.fps
    if video.still and options.fps is None:
        fps = result.fps
    timeline = Timeline.fit(audio.duration, result.fps, result.frames, Loop.HOLD, fps)
    notes: list[str] = []
    film = _Film(spec, engine.facts, result, audio, timeline)
    notes += falling_back_to_x264(spec, partial(_encode, film, watch, on_tick), notes)
    with watch.stage("mark"):
        labels = seal(spec, engine.facts)
    with watch.stage("verify"):
        verified = verify(spec.output, timeline, audio)
    return RenderReport(
        media=verified.media,
        engine=engine.facts,
        timings_ms=watch.report(),
        quality={**verified.ends},
        warnings=[
            *joined_warnings(audio.path, video.path),
            *sound_warnings(audio),
            *tone_warnings(video),
            *rate_warnings(timeline),
            *notes,
        ],
        labels=labels,
    )


def _probe_result(spec: RenderSpec, job: WholeJob, made: Path) -> VideoFacts:
    try:
        result = probe_video(made, spec.limits, RenderOptions(max_height=spec.options.max_height))
    except InputError as error:
        raise OutputInvalid(
            f"the engine's result cannot be read: {error.message}", stage=Stage.VERIFY
        ) from error
    missing = job.audio.duration - result.duration
    if missing > SHORT_S:
        raise OutputInvalid(
            f"the engine's result lasts {float(result.duration):.2f} s, the speech "
            f"{float(job.audio.duration):.2f} s",
            stage=Stage.VERIFY,
        )
    return result


@dataclass(frozen=True, slots=True)
class _Film:
    """What becomes the output."""

    spec: RenderSpec
    facts: EngineFacts
    result: VideoFacts
    """The engine's picture."""
    audio: AudioFacts
    timeline: Timeline

    def frames(self) -> Iterator[Frame]:
        """The engine's pictures, one for each frame of the output."""
        reader = FrameReader(self.result, max(1, self.spec.threads // 2), self.spec.scratch)
        return reader.read(self.timeline.source(n) for n in range(self.timeline.frames))

    def opened(self, device: str | None) -> Encoder:
        """The output, opened for its pictures; see `open_output`."""
        named = words(self.spec, self.facts)
        return open_output(self.spec, named, self.result, self.audio, self.timeline, device)


def _encode(film: _Film, watch: Stopwatch, on_tick: OnTick, device: str | None) -> list[str]:
    """Write the file; what is to be known of how."""
    marks = picture_marks(film.spec, film.result.width, film.result.height)
    frames = prefetch(watch.timed("decode", film.frames()), AHEAD, "decode")
    try:
        with film.opened(device) as encoder:
            for n, frame in enumerate(frames):
                marked = marks.apply(frame)
                with watch.stage("encode"):
                    encoder.write(marked)
                on_tick(Tick("encode", n + 1, film.timeline.frames))
            with watch.stage("encode"):
                encoder.close()
    finally:
        frames.close()
    return encoder.warnings
