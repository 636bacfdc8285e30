"""The picture in figures: every clip with English and Chinese speech, measured from the files."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pipeline.quality.measure import measure
from pipeline.render import render
from pipeline.types import RenderSpec, Tick
from tests.bench import clips

CLIPS = ("v07", "v08", "v09", "v10", "v14", "v15", "v21", "v26", "v27", "v28", "v29")
SPEECH = {"en": "a06_ls_demo3.wav", "zh": "a01_musetalk_yongen_zh_48k_st.wav"}

HEAD = (
    "| clip | speech | mode | io px | r | lag ms | closed p/b/m | sharpness | lip accel. | length |"
)


def quality(seconds: float, names: tuple[str, ...]) -> Iterator[str]:
    """Lines of a Markdown table; ratios are output over reference."""
    if not clips.MEDIA.exists():
        yield "the clips are not on this machine: set F2F_MEDIA to their folder"
        return
    yield HEAD
    yield "|" + "-|" * (HEAD.count("|") - 1)
    for name in names or CLIPS:
        for language in SPEECH:
            yield _row(name, language, seconds)


def _row(name: str, language: str, seconds: float) -> str:
    video = next(clips.MEDIA.glob(f"{name}*"))
    with tempfile.TemporaryDirectory(prefix="f2f-bench-") as text:
        folder = Path(text)
        (folder / "scratch").mkdir()
        speech = clips.cut_speech(clips.MEDIA / SPEECH[language], folder / "s.wav", seconds)
        spec = RenderSpec(
            audio=speech, video=video, output=folder / "out.mp4", scratch=folder / "scratch"
        )
        report = render(spec, _ignore)
        figures = measure(spec.output, audio=speech, reference=video).figures
    return _line(name, language, str(report.quality["mode"]), figures)


def _line(name: str, language: str, mode: str, figures: dict[str, Any]) -> str:
    ratio = figures["reference"]
    cells = (
        name,
        language,
        mode,
        figures["io_px"],
        figures.get("aperture_r"),
        figures.get("aperture_lag_ms"),
        f"{figures.get('closures_closed')}/{figures.get('closures')}",
        ratio["sharpness"],
        ratio["lip_acceleration"],
        f"{figures.get('length_error_frames')} fr",
    )
    return "| " + " | ".join(str(cell) for cell in cells) + " |"


def _ignore(tick: Tick) -> None:
    pass
