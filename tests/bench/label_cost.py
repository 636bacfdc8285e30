"""What all labels cost: their processor time beside that of the render they are in."""

from __future__ import annotations

import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pipeline.mark.applying as applying
import pipeline.render as rendering
from pipeline.mark.certificate import development_identity
from pipeline.mark.visible import VisibleLabel
from pipeline.mark.watermark import Watermark
from pipeline.types import Marks, RenderSpec
from schemas.request import LabelOptions, RenderOptions
from tests.bench import clips


def label_cost(seconds: float, threads: int) -> Iterator[str]:
    """Render at 720p25 with every label on, the visible one too, in a process that is at work.

    What a process loads once (a worker does before it is ready) is told by itself.
    """
    began = time.process_time()
    applying.load_libraries()
    loaded = time.process_time() - began
    spent: dict[str, float] = defaultdict(float)
    with tempfile.TemporaryDirectory(prefix="f2f-bench-") as name, ExitStack() as stack:
        folder = Path(name)
        spec = _spec(folder, seconds, threads)
        for owner, function, label in (
            (applying, "picture_marks", "made ready"),
            (Watermark, "apply", "watermark"),
            (VisibleLabel, "apply", "visible"),
            (rendering, "seal", "container and c2pa"),
        ):
            timed = _timed(getattr(owner, function), spent, label)
            stack.enter_context(patch.object(owner, function, timed))
        stack.enter_context(patch.object(rendering, "picture_marks", applying.picture_marks))
        began = time.process_time()
        report = rendering.render(spec, lambda _: None)
        whole = time.process_time() - began
    frames = report.media.frames
    yield f"loading the watermark's library, once a process: {loaded * 1000:.0f} ms"
    yield f"{frames} frames of 1280x720, {whole * 1000 / frames:.1f} ms of processor time per frame"
    yield "| labels | ms per frame | of the render |"
    yield "| --- | --- | --- |"
    for label, busy in [*spent.items(), ("all", sum(spent.values()))]:
        yield f"| {label} | {busy * 1000 / frames:.2f} | {busy / whole:.1%} |"


def _spec(folder: Path, seconds: float, threads: int) -> RenderSpec:
    return RenderSpec(
        audio=clips.cut_speech(clips.speech(), folder / "speech.wav", seconds),
        video=clips.make_720p25(clips.reference(), folder / "reference.mp4", seconds),
        output=folder / "out.mp4",
        scratch=folder,
        threads=threads,
        options=RenderOptions(label=LabelOptions(visible=True, text="AI")),
        job_id="bench",
        marks=Marks(identity=development_identity(folder / "identity"), watermark=True),
    )


def _timed(function: Callable[..., Any], spent: dict[str, float], label: str) -> Callable[..., Any]:
    def call(*args: Any, **more: Any) -> Any:
        began = time.thread_time()
        try:
            return function(*args, **more)
        finally:
            spent[label] += time.thread_time() - began

    return call
