"""How long the chaos lasts: `F2F_CHAOS` is short (in `make test`), full or long.

One code for all three, so that what `make test` runs is what `make chaos` runs for longer.
"""

from __future__ import annotations

import os
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Scale:
    """Sizes of the scenarios."""

    name: str
    kills: int
    jobs: int
    replays: int
    churn_s: float
    stages: int
    """Instants of a job at which a replica is asked to go."""
    good: int
    """Jobs around one that kills its worker."""
    outage_s: float
    cuts: int
    soak: int
    ledger_lives: int
    """Histories of a partition, of 60 steps each."""
    slow: float
    """Promised wall times are multiplied by it: a short run shares its machine with others.

    So much that it only ends what hangs; what was reached is printed all the same.
    """


SHORT = Scale("short", 12, 40, 40, 10.0, 3, 20, 5.0, 12, 100, 15, 20.0)
FULL = Scale("full", 200, 400, 1000, 120.0, 8, 200, 60.0, 200, 2000, 2100, 1.0)
LONG = Scale("long", 1000, 2000, 1000, 120.0, 8, 200, 60.0, 200, 2000, 2100, 1.0)


def chosen() -> Scale:
    """The scale of this run."""
    name = os.environ.get("F2F_CHAOS", "short")
    for scale in (SHORT, FULL, LONG):
        if scale.name == name:
            return scale
    raise ValueError(f"F2F_CHAOS={name!r}: must be short, full or long")
