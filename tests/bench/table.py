"""One Markdown table between markers, and what changed against the one before."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from pipeline.evaluate.catalogue import BY_NAME, Better

BEGIN, END = "<!-- quality -->", "<!-- /quality -->"
SAME = 0.01
"""Relative change of a mean that counts as none."""
Key = tuple[str, str]
Row = dict[str, str]


@dataclass(frozen=True, slots=True)
class Column:
    """One figure of the table."""

    title: str
    measure: str

    @property
    def better(self) -> Better:
        """Its direction."""
        return BY_NAME[self.measure].better


COLUMNS = (
    Column("r", "aperture_best_r"),
    Column("lag ms", "aperture_lag_ms"),
    Column("energy r", "energy_r"),
    Column("p/b/m", "closures"),
    Column("< 15 %", "closure_rate"),
    Column("< .02 io", "closure_rate_tight"),
    Column("rest", "silence_rest_rate"),
    Column("own r", "own_r"),
    Column("at lag", "own_best_r"),
    Column("own lag", "own_lag_ms"),
    Column("loud r", "own_energy_r"),
    Column("own dist.", "own_lip_distance_io"),
    Column("loud dist.", "own_energy_distance_io"),
    Column("still dist.", "own_still_distance_io"),
    Column("accel.", "lip_acceleration_ratio"),
    Column("rough", "lip_roughness_ratio"),
    Column("flicker", "flicker_ratio"),
    Column("sharp", "sharpness_ratio"),
    Column("outside dB", "outside_psnr_db"),
    Column("end ms", "end_difference_ms"),
)
HEAD = ("clip", "speech", "mode", "io px", *(column.title for column in COLUMNS))


def read(text: str) -> dict[Key, Row]:
    """Rows of the table between the markers, by clip and speech; none where there is no table."""
    found = re.search(f"{BEGIN}(.*?){END}", text, re.DOTALL)
    lines = [line for line in (found.group(1) if found else "").splitlines() if line[:1] == "|"]
    if len(lines) < 3:
        return {}
    head = _cells(lines[0])
    rows = [dict(zip(head, _cells(line), strict=False)) for line in lines[2:]]
    return {(row["clip"], row.get("speech", "")): row for row in rows if row["clip"] != "**mean**"}


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def draw(rows: dict[Key, Row]) -> list[str]:
    """The table with its means."""
    means = {title: mean for title in HEAD[3:] if (mean := _mean(rows, title)) is not None}
    last: Row = {"clip": "**mean**", **{title: f"{mean:.3g}" for title, mean in means.items()}}
    lines = [_line(HEAD), "|" + "-|" * len(HEAD)]
    lines += [_line(row.get(title, "") for title in HEAD) for row in (*rows.values(), last)]
    return lines


def _line(cells: object) -> str:
    assert not isinstance(cells, str)
    return "| " + " | ".join(str(cell) for cell in cells) + " |"  # type: ignore[attr-defined]


def _number(cell: str | None) -> float | None:
    try:
        return float(cell or "")
    except ValueError:
        return None


def _mean(rows: dict[Key, Row], title: str) -> float | None:
    numbers = [n for row in rows.values() if (n := _number(row.get(title))) is not None]
    return sum(numbers) / len(numbers) if numbers else None


def compare(before: dict[Key, Row], now: dict[Key, Row]) -> list[str]:
    """One line for each column: the means over the rows that both tables have."""
    lines = []
    for column in COLUMNS:
        both = [
            (old, new)
            for key, row in now.items()
            if (old := _number(before.get(key, {}).get(column.title))) is not None
            and (new := _number(row.get(column.title))) is not None
        ]
        if both and column.better != "neither":
            old, new = (sum(pair[n] for pair in both) / len(both) for n in (0, 1))
            lines.append(
                f"{column.title}: {old:.4g} → {new:.4g} over {len(both)} rows,"
                f" {verdict(column.better, old, new)}"
            )
    return lines


def verdict(better: Better, old: float, new: float) -> str:
    """`better`, `worse` or `the same`."""
    if better == "near 0":
        old, new, better = abs(old), abs(new), "lower"
    if abs(new - old) <= SAME * max(abs(old), abs(new), 1e-9):
        return "the same"
    return "better" if (new > old) == (better == "higher") else "worse"


def put(text: str, lines: list[str]) -> str:
    """The text with other lines between its markers.

    Raises:
        ValueError: the markers are not there.
    """
    if BEGIN not in text or END not in text:
        raise ValueError(f"no {BEGIN} … {END} to write between")
    head, _, rest = text.partition(BEGIN)
    return head + "\n".join([BEGIN, *lines, END]) + rest.partition(END)[2]


def committed(path: Path) -> str:
    """A file as the last commit has it; as it lies there where git does not know it."""
    done = subprocess.run(
        ["git", "show", f"HEAD:./{path.name}"],
        cwd=path.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout if done.returncode == 0 else path.read_text(encoding="utf-8")
