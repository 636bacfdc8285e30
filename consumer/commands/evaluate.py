"""`face2face evaluate`: every figure of an output, from files alone."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import click

from consumer.commands.local import check_device, device, typed_errors
from consumer.local.console import CommandError, emit, say, tell
from consumer.local.files import existing
from consumer.local.options import JSON_FLAG
from consumer.workers.processors import available
from schemas.codes import ErrorCode, Stage

FILE = click.Path(path_type=Path)


@click.command()
@click.argument("mp4", type=FILE)
@click.option("--reference", type=FILE, default=None, help="the video that it was made from")
@click.option("--audio", type=FILE, default=None, help="the speech it was made from [its own]")
@click.option(
    "--truth", type=FILE, default=None, help="the person really saying it [the reference]"
)
@click.option(
    "--learnt",
    type=click.FloatRange(min=0),
    default=0.0,
    metavar="SECONDS",
    help="words before this were learnt from: compare with the person's own mouth after it",
)
@click.option("--report", type=FILE, default=None, help="folder for a page with pictures")
@click.option("--syncnet", type=FILE, default=None, help="SyncNet v2 checkpoint, for LSE-C, LSE-D")
@click.option("--transcript", default=None, help="what is said; helps English a little")
@click.option("--device", default="cpu", show_default=True, help="auto, cpu, cuda or cuda:N")
@click.option("--threads", type=click.IntRange(1, 256), default=None, help="processor budget")
@JSON_FLAG
def evaluate(mp4: Path, as_json: bool, **given: Any) -> None:
    """Measure an MP4 from the files alone: sync, closures, motion, picture, lengths, labels.

    What needs a file that is not given is left out, with the reason. Exit code 0 whatever the
    figures are. With --json: one object with "measures": {NAME: {"value", "unit", "better", "bar",
    "met", "what", "source"}}, "left_out": {NAME: REASON}, "labels", "video", "files",
    and "report": PATH where one was asked for.
    """
    names = ("reference", "audio", "truth", "syncnet")
    report: Path | None = given["report"]
    check_device(given["device"])
    if report is not None and report.exists() and not report.is_dir():
        raise CommandError.usage(f"--report {str(report)!r} is not a folder")
    for name, path in (("MP4", mp4), *((f"--{n}", given[n]) for n in names)):
        if path is not None:
            existing(path, name)
    with typed_errors("pipeline.evaluate.suite"):
        from pipeline.evaluate.evidence import Sources
        from pipeline.evaluate.suite import evaluate as measure

        files = {name: given[name] for name in (*names, "transcript")}
        sources = Sources(mp4, **files)
        threads = given["threads"] or available()
        found = measure(sources, device=device(given["device"]), threads=threads)
        result = found.as_json()
        if report is not None:
            from pipeline.evaluate.report import write_report

            result["report"] = str(_written(lambda: write_report(found, report), report))
    if as_json:
        emit(result)
        return
    _show(result)


def _written(write: Callable[[], Path], folder: Path) -> Path:
    """Write a report; a folder that was made for one that did not come goes again."""
    made = [above for above in (folder, *folder.absolute().parents) if not above.exists()]
    try:
        return write()
    except OSError as error:
        if folder in made:
            shutil.rmtree(folder, ignore_errors=True)
        for above in made:
            with suppress(OSError):  # somebody else may have put a file there meanwhile
                above.rmdir()
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            text = f"no room for the report in {str(folder)!r}: {error.strerror}"
            raise CommandError.of(ErrorCode.SCRATCH_FULL, Stage.STORE, text) from error
        raise CommandError.usage(f"cannot write into {str(folder)!r}: {error.strerror}") from error


def _show(result: dict[str, Any]) -> None:
    verdicts = {True: "met", False: "NOT MET", None: ""}
    for name, measure in result["measures"].items():
        bar = "" if measure["bar"] is None else f"bar {measure['bar']:g}"
        better = "" if measure["better"] == "neither" else f"better {measure['better']}"
        tell(
            f"{name:<27} {measure['value']:>9g} {measure['unit']:<20} {better:<14} {bar:<10} "
            f"{verdicts[measure['met']]}".rstrip()
        )
    layers = result["labels"]["layers"]
    found = [f"{name} {layer['status']}" for name, layer in layers.items()]
    tell(f"{'labels':<27} {', '.join(found)}")
    names: dict[str, list[str]] = {}
    for name, reason in result["left_out"].items():
        names.setdefault(reason, []).append(name)
    for reason, left_out in names.items():
        say(f"left out, {reason}: {', '.join(left_out)}")
    if "report" in result:
        say(f"report: {result['report']}")
