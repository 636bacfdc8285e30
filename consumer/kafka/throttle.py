"""How often progress is told: enough to see a job move, never enough to weigh on the brokers."""

from __future__ import annotations

import time

from schemas.events import Progress

PROGRESS_EVERY_S = 2.0
PROGRESS_EVERY_PERCENT = 5.0


class Throttle:
    """Lets a job's progress pass when 2 s or 5 % have gone by."""

    def __init__(self) -> None:
        self._last: dict[str, tuple[float, float]] = {}

    def lets_pass(self, event: Progress) -> bool:
        """True when this event is to be sent; it then counts as the last one."""
        now = time.monotonic()
        last_at, last_percent = self._last.get(event.job_id, (-PROGRESS_EVERY_S, 0.0))
        moved = event.percent - last_percent
        if now - last_at < PROGRESS_EVERY_S and 0 <= moved < PROGRESS_EVERY_PERCENT:
            return False
        self._last[event.job_id] = (now, event.percent)
        return True

    def forget(self, job_id: str) -> None:
        """The job is over."""
        self._last.pop(job_id, None)
