"""Where figures are written down: every kind ends with a value or with the reason for none."""

from __future__ import annotations

import math
from typing import Any

from pipeline.evaluate.catalogue import BY_NAME, KINDS


class Figures:
    """Values and reasons by name of the catalogue."""

    def __init__(self) -> None:
        self.values: dict[str, float] = {}
        self.reasons: dict[str, str] = {}

    def put(self, name: str, value: float | None, reason: str = "") -> None:
        """Write a value down; None or a value that is not finite is left out with the reason."""
        kind = BY_NAME[name]
        if value is None or not math.isfinite(value):
            self.reasons[name] = reason or "it could not be measured"
            return
        self.values[name] = round(float(value), kind.digits)

    def leave_out(self, reason: str, *names: str) -> None:
        """Say why some kinds have no value."""
        for name in names:
            self.reasons[BY_NAME[name].name] = reason

    def ratio(self, name: str, ours: float | None, theirs: float | None, reason: str) -> None:
        """Output over reference."""
        good = ours is not None and theirs is not None and theirs > 0
        self.put(name, ours / theirs if good and ours is not None and theirs else None, reason)

    def measures(self) -> dict[str, dict[str, Any]]:
        """By name: value, unit, better, bar, met, what, source; JSON types only."""
        return {
            kind.name: {
                "value": self.values[kind.name],
                "unit": kind.unit,
                "better": kind.better,
                "bar": kind.bar,
                "met": kind.met(self.values[kind.name]),
                "what": kind.what,
                "source": kind.source,
            }
            for kind in KINDS
            if kind.name in self.values
        }

    def left_out(self) -> dict[str, str]:
        """Reasons by name."""
        return {kind.name: self.reasons[kind.name] for kind in KINDS if kind.name in self.reasons}
