"""Where one recording ends and another begins, in containers that can be put one behind the other.

Time stamps that jump by many seconds are those of another recording, unless another stream of the
file goes on meanwhile: then the one that jumps has a hole. In Matroska only those that go back are.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

from av.container import InputContainer
from av.stream import Stream

from pipeline.reading.container import (
    CHAINED,
    SPLICE_S,
    SPLICED,
    Clock,
    open_media,
    packets,
)
from pipeline.types import Limits
from schemas.codes import Stage

_BACK_S = 1
"""Seconds by which decoding times may go back in one recording, whatever wrote it."""
_NEAR_S = 1
"""Seconds by which sound may begin beside the decoding time of its packet."""
_APART_S = SPLICE_S / 2
"""Seconds by which streams of one recording may begin and end apart; less than any jump."""
_TIMED = ("video", "audio")


class Splices:
    """Finds where the decoding times of a stream begin anew.

    Args:
        limits: of opening the file a second time.
        clock: of reading it a second time.
    """

    def __init__(
        self, container: InputContainer, stream: Stream, limits: Limits, clock: Clock | None
    ) -> None:
        self.found = False
        self._last: int | None = None
        self._most = self._least = math.inf
        self._base, kind = stream.time_base or Fraction(1), container.format.name
        if kind in SPLICED and stream.time_base is not None:
            self._most = float(SPLICE_S / self._base)
        if kind in (*SPLICED, *CHAINED) and stream.time_base is not None:
            self._least = float(_BACK_S / self._base)
        self._holes = Holes(container, stream, limits, clock)

    def before(self, stamp: int | None) -> bool:
        """Whether the packet with this decoding time is of another recording than the last one."""
        if stamp is None:
            return False
        step = 0 if self._last is None else stamp - self._last
        self._last = stamp
        anew = -step > self._least or (
            step > self._most and not self._holes.lead_to(stamp * self._base)
        )
        self.found = self.found or anew
        return anew


class Holes:
    """Holes of one stream, in which another one of the file goes on.

    The file is read once more when the first jump is asked about, and not before.

    Args:
        stream: that has holes.
    """

    def __init__(
        self, container: InputContainer, stream: Stream, limits: Limits, clock: Clock | None
    ) -> None:
        self._path = Path(container.name.removeprefix("file:"))
        self._index = stream.index
        self._limits = limits
        self._clock = clock
        self._ends: list[float] | None = None

    def lead_to(self, time: Fraction) -> bool:
        """Whether what is missing before a time (s) of the stream is a hole."""
        if self._ends is None:
            own, others = self._runs()
            self._ends = [
                after.begin
                for before, after in pairwise(own)
                if any(other.bridges(before, after) for other in others)
            ]
        return any(abs(end - float(time)) < _NEAR_S for end in self._ends)

    def _runs(self) -> tuple[list[_Run], list[_Run]]:
        """Stretches of the stream, and of all others, that do not jump."""
        own: list[_Run] = []
        others: dict[int, list[_Run]] = {}
        with open_media(self._path, self._limits, Stage.PROBE) as container:
            stream = container.streams[self._index]
            beside = [s for s in container.streams if s.type in _TIMED and s is not stream]
            for place, packet in enumerate(packets(container, stream, self._clock, beside)):
                if packet.dts is None or packet.time_base is None:
                    continue
                index, at = packet.stream_index, float(packet.dts * packet.time_base)
                runs = own if index == self._index else others.setdefault(index, [])
                if not (runs and runs[-1].goes_on(place, at)):
                    runs.append(_Run(place, place, at, at))
        return own, [run for runs in others.values() for run in runs]


@dataclass(slots=True)
class _Run:
    """A stretch of a stream in which time does not jump."""

    first: int
    """Its first packet's place in the file."""
    last: int
    begin: float
    """Seconds."""
    end: float

    def goes_on(self, place: int, at: float) -> bool:
        """Take the stream's next packet, if it is of this stretch."""
        if not -_BACK_S <= at - self.end <= SPLICE_S:
            return False
        self.last, self.end = place, max(self.end, at)
        return True

    def bridges(self, before: _Run, after: _Run) -> bool:
        """Whether this one goes on where another stream jumps forward, there in the file."""
        return (
            after.begin > before.end
            and self.first <= after.first
            and self.last >= before.last
            and self.begin <= before.end + _APART_S
            and self.end >= after.begin - _APART_S
        )
