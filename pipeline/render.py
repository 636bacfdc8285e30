"""The whole story of one job: two files in, one verified MP4 and a report out.

    probe ─ audio ─ track ─ prepare ─ plan ─ [decode → generate → label → encode] ─ sign ─ verify

Tracking and preparing are left out where the avatar of the reference was kept (`pipeline.avatars`).

The stages in brackets overlap in threads and stream, so that memory does not grow with length.
The caller owns the scratch folder. `on_tick` is called between batches and may raise to stop.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import partial
from itertools import chain
from typing import Any

import torch

from pipeline.allocator import keep_freed_memory, return_freed_memory
from pipeline.avatars.cabinet import Cabinet, open_cabinet
from pipeline.avatars.key import folders
from pipeline.avatars.reach import tracked_frames
from pipeline.batch_sizes import batch_of
from pipeline.batching.cuda import on_own_stream
from pipeline.engines import registry
from pipeline.engines.base import Engine, Finish, Reference
from pipeline.engines.whole import WholeEngine
from pipeline.errors import EngineFailed, PipelineError
from pipeline.exhausted import machine_limits
from pipeline.faces.track import FaceTrack, Tracking, track_faces
from pipeline.mark.applying import picture_marks, seal, words
from pipeline.mark.fonts import check_label
from pipeline.reading.audio import Speech, load_speech
from pipeline.reading.channels import sound_warnings
from pipeline.reading.decode import FrameReader
from pipeline.reading.joined import joined_warnings
from pipeline.reading.kept_pictures import KeptPictures
from pipeline.reading.probe import probe_audio, probe_video
from pipeline.reading.tone_map import tone_warnings
from pipeline.reading.trial import start_trial_process
from pipeline.render_whole import render_whole
from pipeline.speech.recognise_ahead import recognised_ahead
from pipeline.stopwatch import Stopwatch
from pipeline.stream import Sink, batched, prefetch
from pipeline.timeline import Timeline, rate_warnings
from pipeline.types import AudioFacts, Frame, OnTick, RenderSpec, Tick, VideoFacts
from pipeline.writing.output import falling_back_to_x264, open_output
from pipeline.writing.verify import verify
from schemas.codes import Stage
from schemas.render import EngineFacts, RenderReport
from schemas.request import exact_fps

QUEUE = 2
"""Batches that a stage may be ahead."""


def engines() -> list[EngineFacts]:
    """The engines that can run on this machine."""
    return registry.available()


def avatar_folders(device: str) -> dict[str, list[str]]:
    """Where kept avatars of each engine lie under a video's digest, on this kind of device."""
    return folders((e for e in engines() if registry.prepares(e.name)), device)


@dataclass(slots=True)
class _Job:
    """What the stages share: what was asked, what is measured, and what reads the inputs."""

    spec: RenderSpec
    watch: Stopwatch
    on_tick: OnTick
    video: VideoFacts
    audio: AudioFacts
    speech: Speech
    timeline: Timeline
    reader: FrameReader
    kept: KeptPictures
    notes: list[str] = field(default_factory=list)
    """Warnings of the stages."""

    @property
    def batch(self) -> int:
        """Frames that travel together."""
        return batch_of(self.video.width * self.video.height, self.spec.device)


def render(spec: RenderSpec, on_tick: OnTick) -> RenderReport:
    """Render one job.

    Raises:
        PipelineError: every failure that was foreseen, with code, stage and detail.
    """
    watch = Stopwatch()
    keep_freed_memory()
    # CUDA's default stream is one for all jobs, and for the decoder's copies: they would queue.
    with (
        machine_limits(),
        torch.inference_mode(),
        on_own_stream(spec.device),
        ExitStack() as stack,
    ):
        stack.callback(return_freed_memory)
        start_trial_process()
        check_label(spec.options.label)
        engine = registry.create(spec.engine, spec.device, spec.threads)
        threads = registry.operator_threads(spec.engine, spec.device, spec.threads)
        torch.set_num_threads(threads)
        if isinstance(engine, WholeEngine):
            return render_whole(spec, engine, watch, on_tick)
        return _render(_probe(spec, watch, on_tick, stack), engine, threads)


def _render(job: _Job, engine: Engine[Any, Any], threads: int) -> RenderReport:
    """Render a probed job; the report follows when nothing is written any more."""
    spec, watch = job.spec, job.watch
    with ExitStack() as stack:
        if registry.hears_phones(spec.engine):
            job.speech = stack.enter_context(recognised_ahead(job.speech))
        cabinet = stack.enter_context(open_cabinet(spec, job.video, threads, watch))
        total = tracked_frames(job.timeline.used, job.video.fps, job.video.frames)
        track = cabinet.track(total, lambda: _track(job, total))
        finish = _picture(job, engine, track, cabinet)
        return_freed_memory()  # signing holds the file twice, where painting needs room no longer
        with watch.stage("mark"):
            labels = seal(spec, engine.facts)
        with watch.stage("verify"):
            verified = verify(spec.output, job.timeline, job.audio)
    return RenderReport(
        media=verified.media,
        engine=engine.facts,
        timings_ms=watch.report(),
        quality={**finish.quality, **verified.ends},
        spans=finish.spans,
        face=track.summary(),
        warnings=[
            *finish.warnings,
            *track.warnings(),
            *joined_warnings(spec.audio, spec.video),
            *sound_warnings(job.audio),
            *tone_warnings(job.video),
            *rate_warnings(job.timeline),
            *job.notes,
        ],
        labels=labels,
        avatar=cabinet.facts,
    )


def _probe(spec: RenderSpec, watch: Stopwatch, on_tick: OnTick, stack: ExitStack) -> _Job:
    options = spec.options
    with watch.stage("probe"):
        audio = probe_audio(spec.audio, spec.limits)
        video = probe_video(spec.video, spec.limits, options)
    with watch.stage("audio"):
        speech = replace(load_speech(spec.audio, spec.limits), transcript=options.transcript)
    fps: Fraction | None = exact_fps(options.fps) if options.fps is not None else None
    timeline = Timeline.fit(speech.duration, video.fps, video.frames, options.loop, fps)
    kept = stack.enter_context(KeptPictures(video.width, video.height, spec.scratch))
    reader = FrameReader(video, max(1, spec.threads // 2), spec.scratch, kept, spec.device)
    return _Job(spec, watch, on_tick, video, audio, speech, timeline, reader, kept)


def _track(job: _Job, total: int) -> FaceTrack:
    spec = job.spec
    how = Tracking(spec.options.face, spec.limits, spec.scratch, spec.device, spec.threads)
    decoded = job.watch.timed("decode", batched(job.reader.read(range(total)), job.batch))
    with ExitStack() as stack, job.watch.stage("track"):
        # One waits, one is in hand and one is being decoded: frame by frame, each would wake
        # somebody who asks for the interpreter's lock.
        ahead = prefetch(decoded, 1, "decode")
        stack.callback(ahead.close)
        return track_faces(chain.from_iterable(ahead), job.video, how, total, job.on_tick)


def _picture(job: _Job, engine: Engine[Any, Any], track: FaceTrack, cabinet: Cabinet) -> Finish:
    """Everything from the tracked face to the encoded file; what it needed is gone with it."""
    spec = job.spec
    reference = Reference(
        video=job.video,
        track=track,
        frames=job.reader.read,
        speech=None,  # only preparing needs it
        scratch=spec.scratch,
        device=spec.device,
        deadline=spec.deadline,
    )
    avatar = cabinet.avatar(engine, reference, lambda: _prepare(job, engine, reference))
    return falling_back_to_x264(spec, partial(_film, job, engine, avatar), job.notes)


def _prepare(job: _Job, engine: Engine[Any, Any], reference: Reference) -> Any:
    own: Speech | None = None
    if job.video.has_audio and not job.video.still:
        with job.watch.stage("audio"):
            own = _own_speech(job)
    with job.watch.stage("prepare"):
        return engine.prepare(replace(reference, speech=own), job.on_tick)


def _own_speech(job: _Job) -> Speech | None:
    try:
        return load_speech(job.spec.video, job.spec.limits, under_picture=True)
    except PipelineError:
        return None  # a broken sound track of the reference is no reason to fail: it is not used


def _film(job: _Job, engine: Engine[Any, Any], avatar: Any, device: str | None) -> Finish:
    """Plan, paint and encode; by a device's encoder, or (None) by x264, which is the last try."""
    with job.watch.stage("plan"):
        plan = engine.plan(avatar, job.speech, job.timeline, job.spec.deadline)
    if device is None:
        del job.speech  # painting needs the plan alone
    return_freed_memory()  # hearing a long speech takes more for a moment than painting ever will
    try:
        _encode(job, engine, plan, device)
    finally:
        finish = engine.finish(plan)
    return finish


def _encode(job: _Job, engine: Engine[Any, Any], plan: Any, device: str | None) -> None:
    spec, video = job.spec, job.video
    marks = picture_marks(spec, video.width, video.height)
    with ExitStack() as stack:
        encoder = stack.enter_context(
            open_output(spec, words(spec, engine.facts), video, job.audio, job.timeline, device)
        )
        job.notes += encoder.warnings

        def encode(frames: list[Frame]) -> None:
            with job.watch.stage("encode"):
                for frame in frames:
                    encoder.write(marks.apply(frame))

        sink: Sink[list[Frame]] = Sink(encode, QUEUE, "encode")
        try:
            _generate(job, engine, plan, sink)
        except BaseException:
            sink.abort()
            raise
        sink.close()
        with job.watch.stage("encode"):
            encoder.close()


def _generate(job: _Job, engine: Engine[Any, Any], plan: Any, sink: Sink[list[Frame]]) -> None:
    timeline = job.timeline
    if not timeline.loops:
        job.kept.enough()  # nobody comes after this pass
    sources = (timeline.source(n) for n in range(timeline.frames))
    decoded = job.watch.timed("decode", batched(job.reader.read(sources), job.batch))
    batches = prefetch(decoded, QUEUE, "decode")
    done = 0
    try:
        for frames in batches:
            with job.watch.stage("generate"):
                made = engine.generate(plan, frames, range(done, done + len(frames)))
            if len(made) != len(frames):
                raise EngineFailed(
                    f"engine returned {len(made)} frames for {len(frames)}", stage=Stage.GENERATE
                )
            sink.put(made)
            done += len(frames)
            job.on_tick(Tick("generate", done, timeline.frames))
    finally:
        batches.close()
