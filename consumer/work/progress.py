"""Turns the worker's ticks into progress events: at most one every 2 s or every 5 %."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime

from consumer.workers.protocol import RunTick
from schemas.events import Progress

EVERY_S = 2.0
EVERY_PERCENT = 5.0
_SHARE = {"probe": (0.0, 1.0), "track": (1.0, 30.0), "prepare": (30.0, 40.0)}
"""Percent of the whole at the start and at the end of a stage; the rest is `generate`."""
_REST = (40.0, 99.0)


def percent_of(tick: RunTick) -> float:
    """Percent of the whole job, by stage."""
    start, end = _SHARE.get(tick.stage, _REST)
    share = min(1.0, tick.done / tick.total) if tick.total > 0 else 0.0
    return start + (end - start) * share


class ProgressTeller:
    """Progress of one attempt; call it with every tick. It never goes back."""

    def __init__(
        self, job_id: str, render_id: str, attempt: int, tell: Callable[[Progress], None]
    ) -> None:
        self._job_id = job_id
        self._render_id = render_id
        self._attempt = attempt
        self._tell = tell
        self._told = -EVERY_PERCENT
        self._at = time.monotonic() - EVERY_S

    def __call__(self, tick: RunTick) -> None:
        """Tell the tick, or drop it when it is too soon."""
        percent, now = percent_of(tick), time.monotonic()
        if percent <= self._told:
            return
        if now - self._at < EVERY_S and percent - self._told < EVERY_PERCENT:
            return
        self._told, self._at = percent, now
        self._tell(
            Progress(
                job_id=self._job_id,
                render_id=self._render_id,
                stage=tick.stage,
                percent=round(percent, 1),
                frames_done=tick.done,
                frames_total=tick.total,
                attempt=self._attempt,
                at=datetime.now(UTC),
            )
        )
