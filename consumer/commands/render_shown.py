"""What `face2face render` shows: bars while it works, then its report, for people or as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from consumer.local.console import say

if TYPE_CHECKING:
    from pipeline.types import OnTick
    from schemas.render import RenderReport


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
    console = Console(stderr=True)
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as bars:

        def on_tick(tick: Tick) -> None:
            if tick.stage not in tasks:
                tasks[tick.stage] = bars.add_task(tick.stage, total=tick.total)
            bars.update(tasks[tick.stage], completed=tick.done, total=tick.total)

        yield on_tick


def result(report: RenderReport, output: Path) -> dict[str, Any]:
    """The stable JSON of `render --json`: the report, with the media facts on top."""
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


def summarise(report: RenderReport, output: Path) -> None:
    """Say in some lines what was made, and what of it needs a look."""
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
