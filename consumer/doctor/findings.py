"""What a check of the service's surroundings says: a state, a text, and what to do."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal

from consumer.settings import Settings

State = Literal["ok", "warn", "bad"]


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found."""

    check: str
    state: State
    text: str
    advice: str = ""
    """What to do; empty when there is nothing to do."""


Check = Callable[[Settings], Awaitable[list[Finding]]]
"""Says what it found; changes nothing that stays, and raises nothing."""
