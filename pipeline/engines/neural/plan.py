"""One job of a neural engine: a reference, a speech, a clock."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, Protocol

from torch import Tensor

from pipeline.batching.shared import Item
from pipeline.engines.fade import Presence, SpanLog
from pipeline.engines.neural.ahead import Ahead
from pipeline.engines.neural.avatar import Avatar

if TYPE_CHECKING:
    from pipeline.timeline import Timeline


class Hearing(Protocol):
    """What a network hears of one speech."""

    def frames(self, fps: Fraction, frames: range) -> Tensor:
        """(len(frames), ...) of some output frames."""
        ...


@dataclass(slots=True)
class Plan:
    """What one job needs and counts."""

    avatar: Avatar
    hearing: Hearing
    timeline: Timeline
    shown: Presence
    """Which output frames have a face to paint."""
    log: SpanLog = field(default_factory=SpanLog)
    painted: int = 0
    ahead: Ahead | None = None

    def faces(self, outputs: range) -> list[Item]:
        """What the network takes for those outputs that are painted."""
        chosen = [n for n, output in enumerate(outputs) if self.shown[output]]
        if not chosen:
            return []
        heard = self.hearing.frames(self.timeline.fps, outputs).unbind()
        rows = [self.avatar.rows[self.timeline.source(outputs[n])] for n in chosen]
        seen = self.avatar.inputs[rows].unbind()
        return [(face, heard[n]) for face, n in zip(seen, chosen, strict=True)]


def planned(avatar: Avatar, hearing: Hearing, timeline: Timeline) -> Plan:
    """A job that was not begun."""
    boxes = avatar.boxes
    shown = Presence(timeline.frames, lambda output: timeline.source(output) in boxes)
    return Plan(avatar, hearing, timeline, shown)
