"""`face2face render`: one MP4 from local files, without Kafka and S3."""

from __future__ import annotations

import re
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from consumer.caches import avatars_root
from consumer.commands.local import (
    check_device,
    device,
    typed_errors,
    use_settings,
    why_duix_is_silent,
)
from consumer.commands.render_shown import progress, result, summarise
from consumer.local.console import CommandError, emit, say
from consumer.local.files import check_output, existing
from consumer.local.options import JSON_FLAG, build_options, render_options
from consumer.workers.processors import available
from schemas.codes import ErrorCode
from schemas.request import JOB_ID_PATTERN

if TYPE_CHECKING:
    from pipeline.types import AvatarFolder, Marks, RenderSpec
    from schemas.render import RenderReport

_MP4_NAMES = ("", ".mp4", ".m4v", ".mov")
"""Ends of names under which players take an MP4 for what it is."""


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
    check_device(given["device"])
    existing(audio, "--audio")
    existing(video, "--video")
    check_output(output, audio, video)
    if output.suffix.lower() not in _MP4_NAMES:
        say(f"warning: {output.name} will be an MP4, the one kind that is written")
    with typed_errors("pipeline.render"), _scratch(output) as scratch:
        from pipeline.types import RenderSpec

        use_settings()
        engine = given["engine"] or _engine()
        if engine == "duix":
            _say_if_silent()
        avatars = _avatars() if given["avatar_cache"] else None
        spec = RenderSpec(
            audio=audio,
            video=video,
            output=scratch / "output.mp4",
            scratch=scratch,
            engine=engine,
            options=options,
            device=device(given["device"]),
            threads=given["threads"] or available(),
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
    summarise(report, output)


def _engine() -> str:
    from consumer.settings.load import load

    return load().engine


def _say_if_silent() -> None:
    """Say at once that a container does not answer: the engine waits for it, up to a minute."""
    from consumer.settings.load import load

    why = why_duix_is_silent(load())
    if why is not None:
        say(f"warning: {why}; it is waited for, at most a minute")


def _avatars() -> AvatarFolder | None:
    from consumer.settings.load import load
    from pipeline.types import AvatarFolder

    limit = load().avatar_bytes
    return AvatarFolder(avatars_root(), max_bytes=limit // 2) if limit else None


def _trim(avatars: AvatarFolder) -> None:
    from consumer.avatar_disk import trim
    from consumer.settings.load import load

    trim(avatars.path, load().avatar_bytes, avatars.keep_free)


def _job_id(given: str | None) -> str:
    if given is None:
        return str(uuid.uuid4())
    if not re.fullmatch(JOB_ID_PATTERN.strip("^$"), given):
        raise CommandError.usage(f"--job-id {given!r} must be 1 to 128 of A-Z a-z 0-9 . _ -")
    return given


def _marks() -> Marks:
    from consumer.settings.load import load
    from consumer.work.marks import render_marks
    from pipeline.mark.choosing import choose_marks

    return choose_marks(**render_marks(load(), None).model_dump())


def _remember(job_id: str, marks: Marks) -> None:
    """Keep the id where `detect` looks: the watermark holds only a digest of it."""
    from consumer.local.known_jobs import remember

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


def _render_with_progress(spec: RenderSpec) -> RenderReport:
    from pipeline.render import render as render_file

    with progress() as on_tick:
        return render_file(spec, on_tick)
