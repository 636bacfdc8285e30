"""Rows of the GPU's tables: each says what was asked of it, and one that fails stops no other."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

STREAMS = {("musetalk", True): 20.0, ("musetalk", False): 12.0}
"""Real-time streams of whole renders, by engine and whether the reference is known."""
NETWORK_STREAMS = {"musetalk-fast": 60.0}
"""Of the networks alone."""
TIMES_LOOP = {"musetalk": 5.0}
"""Frames/s of the networks alone over those of the published loop."""
TIMES_ONE_JOB, TOGETHER = 3.0, 8
"""Frames/s of eight jobs over those of one, in one process."""
BUSY = 85.0
"""Per cent of the GPU's time, from eight jobs on."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A figure and the least that was asked of it."""

    what: str
    found: float
    least: float

    def text(self, on_gpu: bool) -> str:
        """Whether it is met; toy networks on a processor say nothing of that."""
        if not on_gpu:
            return f"{self.what} asked {self.least:g} on a GPU"
        met = "met" if self.found >= self.least else "NOT MET"
        return f"{self.what} {self.found:.3g} asked {self.least:g}: {met}"


def verdict(asked: list[Asked], on_gpu: bool) -> str:
    """The end of a row."""
    return " | " + ("; ".join(each.text(on_gpu) for each in asked) or "no target")


def unknown(asked: list[Asked]) -> str:
    """The end of a row without figures: what was asked all the same."""
    named = "; ".join(f"{each.what} asked {each.least:g}" for each in asked)
    return f" | {named}" if named else ""


def row(name: str, measure: Callable[[], str], asked: list[Asked] | None = None) -> str:
    """A row, or why there is none, and what was asked of it."""
    try:
        return f"  {name} {measure()}"
    except Exception as error:  # noqa: BLE001 - whatever it is, the next row may be measured
        return f"  {name} failed: {reason(error)}{unknown(asked or [])}"


def reason(error: Exception) -> str:
    """One line."""
    return f"{type(error).__name__}: {(str(error).splitlines() or [''])[0][:200]}"


def also_into(path: Path | None, lines: Iterable[str]) -> Iterator[str]:
    """Lines as they come, each in a file before the next one is asked for: a cut run keeps them.

    Args:
        path: begun anew, its folder made; None: no file.
        lines: without their ends.

    Raises:
        OSError: it cannot be written.
    """
    if path is None:
        yield from lines
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", buffering=1, encoding="utf-8") as file:
        for line in lines:
            file.write(f"{line}\n")
            yield line
