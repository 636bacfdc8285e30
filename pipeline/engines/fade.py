"""Frames without a usable face pass through; around them the painted mouth fades in and out."""

from __future__ import annotations

from collections.abc import Callable

from schemas.render import Span, SpanKind

FADE_FRAMES = 4
"""Output frames over which the painted mouth appears and disappears."""


class Presence:
    """Which output frames have a usable face (`present`), and how much of the mouth they show."""

    def __init__(self, frames: int, present: Callable[[int], bool]) -> None:
        self._faces = bytes(map(present, range(frames)))

    def __getitem__(self, output: int) -> bool:
        return bool(self._faces[output])

    def strength(self, output: int) -> float:
        """0 without a face, rising to 1 over `FADE_FRAMES` frames next to such frames."""
        first = max(0, output - FADE_FRAMES)
        around = self._faces[first : output + FADE_FRAMES + 1]
        away = [abs(first + n - output) for n, face in enumerate(around) if not face]
        return min(away) / (FADE_FRAMES + 1) if away else 1.0


class SpanLog:
    """Collects stretches of output frames that passed through."""

    def __init__(self) -> None:
        self._spans: list[Span] = []

    def add(self, output: int, kind: SpanKind) -> None:
        """Note one output frame; frames come in ascending order."""
        last = self._spans[-1] if self._spans else None
        if last is not None and last.end_frame == output and last.kind == kind:
            self._spans[-1] = last.model_copy(update={"end_frame": output + 1})
        else:
            self._spans.append(Span(kind=kind, start_frame=output, end_frame=output + 1))

    def spans(self) -> list[Span]:
        """What was collected, in order."""
        return list(self._spans)

    @property
    def frames(self) -> int:
        """How many frames passed through."""
        return sum(span.end_frame - span.start_frame for span in self._spans)
