"""The null renderer after an upgrade: another revision of the same engine."""

from __future__ import annotations

from schemas.render import EngineFacts
from tests.support import null_render

RENDERER = "tests.support.null_render_next:render"
render = null_render.render


def engines() -> list[EngineFacts]:
    """The engine with a revision of its own, and one that was not there before."""
    return [
        EngineFacts(name=name, version="1", revision="null-2") for name in ("viseme", "wav2lip")
    ]
