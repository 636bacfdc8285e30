"""Subcommands on local files: render, inspect, engines. They import the pipeline."""

from __future__ import annotations

import os
import re
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from consumer.caches import avatars_root, weights_root
from consumer.console import CommandError, emit, say, stoppable
from consumer.local_files import check_output, existing
from consumer.options import JSON_FLAG, build_options, render_options
from consumer.processors import available as available_processors
from schemas.codes import ErrorCode, Stage
from schemas.request import JOB_ID_PATTERN

if TYPE_CHECKING:
    from pipeline.types import AvatarFolder, Marks, OnTick, RenderSpec
    from schemas.render import RenderReport

# libgomp spins by default; on a shared machine that costs more than the work itself. It must be
# set before torch is imported.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

_MP4_NAMES = ("", ".mp4", ".m4v", ".mov")
"""Ends of names under which players take an MP4 for what it is."""


@contextmanager
def typed_errors() -> Iterator[None]:
    """Turn the pipeline's errors into the command line's, and SIGTERM into an interrupt."""
    from pipeline.errors import PipelineError
    from pipeline.weights import use_weights_root

    use_weights_root(weights_root())
    try:
        with stoppable():
            yield
    except PipelineError as error:
        raise CommandError(error.error_facts()) from error


@click.command()
@click.option("--audio", type=click.Path(path_type=Path), required=True, help="speech")
@click.option("--video", type=click.Path(path_type=Path), required=True, help="reference: a face")
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="MP4 to write")
@render_options
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N")
@click.option("--threads", type=click.IntRange(1, 256), default=None, help="processor budget")
@click.option("--job-id", default=None, help="the job that the labels name [a new one]")
@click.option(
    "--avatar-cache/--no-avatar-cache",
    default=True,
    help="keep the prepared reference, so that the next render of the same video is faster",
)
@JSON_FLAG
def render(audio: Path, video: Path, output: Path, as_json: bool, **given: Any) -> None:
    """Render one MP4 from local files, without Kafka and S3.

    With --json exactly one object on stdout: frames, fps, duration_s, width, height, engine,
    timings_ms, quality, spans …, or {"error": {"code", "stage", "message", "detail"}}.
    """
    options = build_options(given)
    job_id = _job_id(given["job_id"])
    existing(audio, "--audio")
    existing(video, "--video")
    check_output(output, audio, video)
    if output.suffix.lower() not in _MP4_NAMES:
        say(f"warning: {output.name} will be an MP4, the one kind that is written")
    with typed_errors(), _scratch(output) as scratch:
        from pipeline.types import RenderSpec

        _use_settings()
        avatars = _avatars() if given["avatar_cache"] else None
        spec = RenderSpec(
            audio=audio,
            video=video,
            output=scratch / "output.mp4",
            scratch=scratch,
            engine=given["engine"] or _engine(),
            options=options,
            device=_device(given["device"]),
            threads=given["threads"] or available_processors(),
            job_id=job_id,
            marks=_marks(),
            avatars=avatars,
        )
        report = _render_with_progress(spec)
        spec.output.replace(output)
        if avatars is not None:
            _trim(avatars)
    _remember(job_id, spec.marks)
    if as_json:
        emit(result(report, output))
    _summarise(report, output)


def _use_settings() -> None:
    from consumer.rendering import use_settings

    use_settings(available_processors())


def _engine() -> str:
    from consumer.settings_load import load

    return load().engine


def _avatars() -> AvatarFolder | None:
    from consumer.settings_load import load
    from pipeline.types import AvatarFolder

    limit = load().avatar_bytes
    return AvatarFolder(avatars_root(), max_bytes=limit // 2) if limit else None


def _trim(avatars: AvatarFolder) -> None:
    from consumer.avatar_disk import trim
    from consumer.settings_load import load

    trim(avatars.path, load().avatar_bytes, avatars.keep_free)


def _job_id(given: str | None) -> str:
    if given is None:
        return str(uuid.uuid4())
    if not re.fullmatch(JOB_ID_PATTERN.strip("^$"), given):
        raise CommandError.usage(f"--job-id {given!r} must be 1 to 128 of A-Z a-z 0-9 . _ -")
    return given


def _marks() -> Marks:
    from consumer.marks import render_marks
    from consumer.settings_load import load
    from pipeline.mark.choosing import choose_marks

    return choose_marks(**render_marks(load(), None).model_dump())


def _remember(job_id: str, marks: Marks) -> None:
    """Keep the id where `detect` looks: the watermark holds only a digest of it."""
    from consumer.known_jobs import remember

    if not marks.watermark:
        return
    try:
        remember(job_id)
    except OSError as error:
        say(f"warning: the job id was not kept for `face2face detect`: {error}")


@contextmanager
def _scratch(output: Path) -> Iterator[Path]:
    """A folder beside the output, so that the finished file only needs a rename.

    Folders that were made on the way to it go again where no output comes.
    """
    made = [above for above in output.absolute().parents if not above.exists()]
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        folder = tempfile.TemporaryDirectory(prefix=".face2face-", dir=output.parent)
    except OSError as error:
        raise CommandError.usage(
            f"cannot write into {str(output.parent)!r}: {error.strerror}"
        ) from error
    try:
        with folder as path, _named_room(output.parent):
            yield Path(path)
    except BaseException:
        with suppress(OSError):  # somebody else may have put a file there meanwhile
            for above in made:
                above.rmdir()
        raise


@contextmanager
def _named_room(folder: Path) -> Iterator[None]:
    """Say in which folder there was no room: whoever called chose it by the output."""
    from pipeline.errors import ScratchFull

    try:
        yield
    except ScratchFull as full:
        text = f"no room in {str(folder)!r}, where the output is made: {full.message}"
        raise CommandError.of(ErrorCode.SCRATCH_FULL, full.stage, text) from full


def _device(name: str) -> str:
    import torch

    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if name != "cpu" and not name.startswith("cuda"):
        raise CommandError.usage(f"--device {name!r} must be auto, cpu, cuda or cuda:N")
    if name != "cpu" and not torch.cuda.is_available():
        raise CommandError.of(
            ErrorCode.ENGINE_UNAVAILABLE, Stage.PROBE, f"--device {name!r}: torch sees no CUDA"
        )
    return name


def _render_with_progress(spec: RenderSpec) -> RenderReport:
    from pipeline.render import render as render_file

    with progress() as on_tick:
        return render_file(spec, on_tick)


@contextmanager
def progress() -> Iterator[OnTick]:
    """A bar per stage on stderr where that is a terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

    from pipeline.types import Tick

    columns = (
        TextColumn("{task.description:>9}"),
        BarColumn(),
        TextColumn("{task.completed:.0f}/{task.total:.0f}"),
        TimeElapsedColumn(),
    )
    tasks: dict[str, TaskID] = {}
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:

        def on_tick(tick: Tick) -> None:
            if tick.stage not in tasks:
                tasks[tick.stage] = bars.add_task(tick.stage, total=tick.total)
            bars.update(tasks[tick.stage], completed=tick.done, total=tick.total)

        yield on_tick


def result(report: RenderReport, output: Path) -> dict[str, Any]:
    """The stable JSON of `render --json`: the report, with the media facts on top."""
    import json
    from fractions import Fraction

    whole: dict[str, Any] = json.loads(report.model_dump_json())
    media = whole.pop("media")
    return {
        "frames": media["frames"],
        "fps": float(Fraction(media["fps"])),
        "fps_exact": media["fps"],
        "duration_s": media["duration_s"],
        "width": media["width"],
        "height": media["height"],
        "engine": whole.pop("engine"),
        "timings_ms": whole.pop("timings_ms"),
        "quality": whole.pop("quality"),
        "spans": whole.pop("spans"),
        **whole,
        "video_codec": media["video_codec"],
        "audio_codec": media["audio_codec"],
        "audio_rate": media["audio_rate"],
        "output": str(output),
    }


def _summarise(report: RenderReport, output: Path) -> None:
    media = report.media
    total = report.timings_ms.get("total", 0.0) / 1000
    speed = f", {media.duration_s / total:.2f} × real time" if total else ""
    say(
        f"{output}: {media.width}x{media.height}, {media.frames} frames at {media.fps} fps, "
        f"{media.duration_s:.2f} s by {report.engine.name} on {report.engine.device} "
        f"in {total:.1f} s{speed}"
    )
    for span in report.spans:
        say(f"  {span.kind}: frames {span.start_frame} to {span.end_frame} pass unchanged")
    for warning in report.warnings:
        say(f"  warning: {warning}")


@click.command()
@JSON_FLAG
def engines(as_json: bool) -> None:
    """List the engines that can run on this machine, and what the others lack."""
    with typed_errors():
        from pipeline.engines import registry

        _use_settings()
        found, missing = registry.available(), registry.missing()
    for name, error in missing.items():
        say(f"not here: {name}: {error.message}")
    if as_json:
        emit(
            {
                "engines": [engine.model_dump(mode="json") for engine in found],
                "missing": {name: error.message for name, error in missing.items()},
            }
        )
        return
    for engine in found:
        weights = ", ".join(f"{w.name} {w.revision}" for w in engine.weights) or "no weights"
        click.echo(
            f"{engine.name} {engine.version} ({engine.revision}) on {engine.device}: {weights}"
        )
