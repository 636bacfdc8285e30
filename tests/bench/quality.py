"""The picture in figures: pairs of a clip and a speech, rendered and evaluated from the files."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pipeline.errors import PipelineError
from pipeline.evaluate.evidence import Sources
from pipeline.evaluate.suite import evaluate
from pipeline.render import render
from pipeline.types import RenderSpec, Tick
from tests.bench import table
from tests.bench.pairs import Pair, default, listed, only, prepare

FILE = Path(__file__).parents[2] / "BENCHMARKS.md"


def quality(
    seconds: float, names: tuple[str, ...], pairs: Path | None, quick: bool, write: bool
) -> Iterator[str]:
    """Lines to print: each row when it is ready, the table, and what changed.

    Args:
        seconds: of each speech.
        names: clips to keep; all without one.
        pairs: a list of pairs; else those of the media folder.
        quick: one language for each clip.
        write: put the table into BENCHMARKS.md.
    """
    chosen = list(only(listed(pairs) if pairs else default(quick), names))
    rows: dict[table.Key, table.Row] = {}
    for pair in chosen:
        rows[pair.key] = _row(pair, seconds)
        yield " ".join(f"{name} {value}" for name, value in rows[pair.key].items())
    before = table.read(table.committed(FILE))
    changes = table.compare(before, rows)
    lines = table.draw(rows)
    yield from lines
    yield from (changes or ["no table to compare with"])
    if write:
        FILE.write_text(table.put(FILE.read_text(encoding="utf-8"), lines), "utf-8")
        yield f"written to {FILE.name}"


def _row(pair: Pair, seconds: float) -> table.Row:
    row: table.Row = {"clip": pair.key[0], "speech": pair.key[1]}
    with tempfile.TemporaryDirectory(prefix="f2f-bench-") as text:
        folder = Path(text)
        (folder / "scratch").mkdir()
        try:
            job = prepare(pair, folder, seconds)
            spec = RenderSpec(
                audio=job.audio,
                video=job.video,
                output=folder / "out.mp4",
                scratch=folder / "scratch",
            )
            report = render(spec, _ignore)
            sources = Sources(spec.output, job.video, job.audio, job.truth, learnt_s=job.learnt_s)
            found = evaluate(sources, labels=False).as_json()
        except PipelineError as error:
            return row | {"mode": error.code.value}
    return row | _figures(found) | {"mode": str(report.quality.get("mode", ""))}


def _figures(found: dict[str, Any]) -> table.Row:
    measures = found["measures"]
    values = {
        column.title: f"{measures[column.measure]['value']:g}"
        for column in table.COLUMNS
        if column.measure in measures
    }
    return {"io px": f"{found['video']['io_px']:.0f}", **values}


def _ignore(tick: Tick) -> None:
    pass
