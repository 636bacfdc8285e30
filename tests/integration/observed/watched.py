"""What a watched run left behind."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tests.support.otlp import Collector


@dataclass
class Run:
    """What one run left behind."""

    health: dict[str, Any]
    gateway_health: dict[str, Any]
    ready: tuple[int, int]
    metrics: dict[str, list[Any]]
    """Samples by family, of service and gateway."""
    board: dict[str, list[dict[str, Any]]]
    """Answers by query; empty without Prometheus."""
    firing: list[str]
    outcomes: dict[str, dict[str, Any]]
    traces: Collector
    logs: str
    secrets: list[str]
    download_url: str = ""
    seen: dict[str, Any] = field(default_factory=dict)
