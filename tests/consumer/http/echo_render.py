"""A renderer that gives the reference back as it is: a result that a browser can play.

It goes on while a folder above its output holds a file `hold`.
"""

from __future__ import annotations

import shutil
import time

from pipeline.types import OnTick, RenderSpec, Tick
from schemas.render import EngineFacts, MediaFacts, RenderReport, Span

HOLD = "hold"
RENDERER = "tests.consumer.http.echo_render:render"


def engines() -> list[EngineFacts]:
    """The one engine."""
    return [EngineFacts(name="viseme", version="1", revision="echo-1")]


def render(spec: RenderSpec, on_tick: OnTick) -> RenderReport:
    """Copy, with some progress before."""
    for done in range(0, 101, 4):
        on_tick(Tick("generate", done, 100))
        time.sleep(0.1)
    while any((folder / HOLD).exists() for folder in spec.output.parents):
        on_tick(Tick("generate", 99, 100))
        time.sleep(0.1)
    shutil.copyfile(spec.video, spec.output)
    return RenderReport(
        media=MediaFacts(
            width=320, height=240, fps="25/1", frames=50, duration_s=2.0, audio_rate=44100
        ),
        engine=engines()[0],
        timings_ms={
            "probe": 31.2,
            "track": 812.0,
            "generate": 2604.5,
            "encode": 900,
            "total": 4200,
        },
        quality={"sharpness": 0.913, "mouth": {"open_frames": 31}, "silence_closed": True},
        spans=[Span(kind="no_face", start_frame=10, end_frame=20)],
        warnings=["the speech is longer than the reference; it plays back and forth"],
        labels={"visible": False, "container": ["AIGC", "comment"]},
    )
