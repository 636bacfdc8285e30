"""The exact clock of a job: which reference frame stands under which output frame.

All rates and durations are `Fraction`s, so that ten minutes at 30000/1001 drift by nothing.
Output frame n covers the time [n, n+1) / fps and lasts as long as the speech, rounded to a frame.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from math import floor

from schemas.request import Loop

SLOW_FPS = Fraction(15_000, 1001)
"""15 as television counts: below it closures of p, b and m fall between frames, and lips jump."""


@dataclass(frozen=True, slots=True)
class Timeline:
    """The clock of one job."""

    fps: Fraction
    """Output frames per second."""
    frames: int
    """Output frames, at least 1."""
    source_fps: Fraction
    """Rate of the reference's grid."""
    source_frames: int
    """Frames of the reference's grid."""
    loop: Loop
    _step: tuple[int, int] = field(init=False, repr=False, compare=False)
    """Grid frames of the reference for one of the output, as whole numbers: asked for each frame
    several times, and a fraction's parts are calls."""

    def __post_init__(self) -> None:
        ours, theirs = self.fps, self.source_fps
        step = theirs.numerator * ours.denominator, theirs.denominator * ours.numerator
        object.__setattr__(self, "_step", step)

    @classmethod
    def fit(
        cls,
        audio: Fraction,
        source_fps: Fraction,
        source_frames: int,
        loop: Loop = Loop.PINGPONG,
        fps: Fraction | None = None,
    ) -> Timeline:
        """The timeline as long as `audio` seconds, ± half a frame; it has at least one frame."""
        rate = fps if fps is not None else source_fps
        return cls(rate, max(1, round(audio * rate)), source_fps, source_frames, loop)

    @property
    def duration(self) -> Fraction:
        """Seconds of the output's picture."""
        return self.frames / self.fps

    def time(self, output: int) -> Fraction:
        """Start of an output frame, seconds."""
        return output / self.fps

    def source(self, output: int) -> int:
        """Grid index of the reference frame under an output frame."""
        theirs, ours = self._step
        step = output * theirs // ours
        n = self.source_frames
        if n == 1 or step < n:
            return min(step, n - 1)
        if self.loop is Loop.HOLD:
            return n - 1
        if self.loop is Loop.REPEAT:
            return step % n
        phase = step % (2 * n - 2)
        return phase if phase < n else 2 * n - 2 - phase

    @property
    def loops(self) -> bool:
        """Whether the output comes back to frames of the reference that it has left."""
        last = floor((self.frames - 1) * self.source_fps / self.fps)
        return self.loop is not Loop.HOLD and 1 < self.source_frames <= last

    @property
    def used(self) -> int:
        """How many grid frames, counted from 0, the output touches at least once."""
        last = floor((self.frames - 1) * self.source_fps / self.fps)
        return min(last + 1, self.source_frames)


def rate_warnings(timeline: Timeline) -> list[str]:
    """What a report says of an output that is too slow for lips, as its reference is."""
    if timeline.fps >= SLOW_FPS:
        return []
    return [
        f"the output has {float(timeline.fps):.3g} frames a second, too few for lips to follow "
        "speech; ask for more by options.fps (--fps), 25 for one"
    ]
