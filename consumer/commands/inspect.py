"""`face2face inspect`: a contact sheet of an MP4, and its quality figures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from consumer.commands.local import check_device, device, typed_errors
from consumer.local.console import CommandError, emit, say, tell
from consumer.local.files import check_output, existing
from consumer.local.options import JSON_FLAG
from consumer.workers.processors import available

FILE = click.Path(path_type=Path)


@click.command()
@click.argument("mp4", type=FILE)
@click.option("-o", "--output", type=FILE, default=None, help="PNG to write [beside the MP4]")
@click.option("--audio", type=FILE, default=None, help="the speech it was made from [its own]")
@click.option("--reference", type=FILE, default=None, help="the video that it was made from")
@click.option("--transcript", default=None, help="what is said; helps English a little")
@click.option("--device", default="cpu", show_default=True, help="auto, cpu, cuda or cuda:N")
@click.option("--threads", type=click.IntRange(1, 256), default=None, help="processor budget")
@JSON_FLAG
def inspect(mp4: Path, output: Path | None, as_json: bool, **given: Any) -> None:
    """Draw a contact sheet of an MP4 and print its quality figures.

    The sheet shows mouths over time, closures and vowels, and under them the waveform, the phones,
    and the opening of the lips as requested and as measured in the finished file. --reference adds
    figures relative to it. With --json: one object of figures, with "sheet": PATH.
    """
    check_device(given["device"])
    for name, path in (("MP4", mp4), *((f"--{n}", given[n]) for n in ("audio", "reference"))):
        if path is not None:
            existing(path, name)
    png = output or mp4.with_suffix(".png")
    check_output(png, mp4, *(given[n] for n in ("audio", "reference") if given[n] is not None))
    threads = given.pop("threads") or available()
    with typed_errors("pipeline.inspect"):
        from pipeline.inspect import draw_sheet
        from pipeline.quality.measure import measure

        given["device"] = device(given["device"])
        try:
            png.parent.mkdir(parents=True, exist_ok=True)
            quality = measure(mp4, threads=threads, **given)
            draw_sheet(quality, png)
        except OSError as error:
            raise CommandError.usage(f"cannot write {str(png)!r}: {error.strerror}") from error
    if as_json:
        emit({**quality.figures, "sheet": str(png)})
        return
    for name, value in quality.figures.items():
        tell(f"{name:<24} {value}")
    say(f"contact sheet: {png}")
