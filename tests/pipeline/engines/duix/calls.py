"""How tests of the engine `duix` render, with little patience."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from pipeline import render as story
from pipeline.engines import registry
from pipeline.engines.duix.client import Patience
from pipeline.engines.duix.engine import DuixEngine
from pipeline.engines.duix.place import Place
from pipeline.types import RenderSpec, Tick
from tests.pipeline.engines.duix.standin import Container

QUICK = Patience(poll=0.02, call=5, silent=0.5, locked=0.3, gone=0.3, still=0.6, still_per_second=0)
MakeSpec = Callable[..., RenderSpec]


def render(
    monkeypatch: pytest.MonkeyPatch,
    there: Container,
    spec: RenderSpec,
    on_tick: Callable[[Tick], None] = lambda _: None,
) -> Any:
    """The report of a job that `there` renders."""
    engine = DuixEngine(Place(there.url, there.data), QUICK)
    monkeypatch.setattr(registry, "create", lambda *_: engine)
    return story.render(spec, on_tick)


def leftovers(there: Container) -> list[str]:
    """What lies in the folder that both share."""
    return [path.name for path in (there.data / "temp").iterdir()]
