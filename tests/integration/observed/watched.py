"""What a watched run left behind."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tests.support.otlp import Collector


@dataclass
class Run:
    """What one run left behind. The last three are known when its processes have ended."""

    health: dict[str, Any]
    gateway_health: dict[str, Any]
    metrics: dict[str, list[Any]]
    """Samples by family, of service and gateway."""
    board: dict[str, list[dict[str, Any]]]
    """Answers by query; empty without Prometheus."""
    firing: list[str]
    """Alerts; empty without Prometheus."""
    outcomes: dict[str, dict[str, Any]]
    traces: Collector
    ready: tuple[int, int] = (0, 0)
    """Status of the service's `/readyz` at its start, and when it was ready."""
    logs: str = ""
    secrets: list[str] = field(default_factory=list)
    """What no log line may hold."""
