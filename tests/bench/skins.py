"""The demo's portrait in other colours, with lipstick and with glasses: how each is rendered.

One row of figures per variant, all of them rendered and read back in one run, and a sheet of
mouths to look at. The portrait is in the public domain, so the sheet may be shown.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from pipeline.evaluate.evidence import Sources
from pipeline.evaluate.suite import evaluate
from pipeline.faces import topology
from pipeline.render import render
from pipeline.types import RenderSpec
from tests.pipeline.faces.pictures import DARK, DEMO, PALE, demo_facts, demo_frames
from tests.support.tracking import tracked

Points = NDArray[np.float32]
Recolour = Callable[[Image.Image, Points], Image.Image]
SPEECH = DEMO.with_name("speech.flac")
SHOWN = 5
"""Mouths of the output beside that of the reference."""
SIDE = 200
"""Pixels of a cell of the sheet."""
FIGURES = {
    "aperture_best_r": "r",
    "closure_rate": "p b m shut",
    "silence_rest_rate": "pauses at rest",
    "sharpness_ratio": "sharpness",
    "outside_psnr_db": "outside dB",
}
_NEARLY_LOSSLESS = {"crf": "8", "preset": "veryfast"}


def _closed(upper: tuple[int, ...], lower: tuple[int, ...]) -> list[int]:
    """Two lines from corner to corner as one outline, clockwise on screen."""
    return [*upper, *reversed(lower[1:-1])]


LIPS_OUTER = _closed(topology.LIPS_OUTER_UPPER, topology.LIPS_OUTER_LOWER)
LIPS_INNER = _closed(topology.LIPS_INNER_UPPER, topology.LIPS_INNER_LOWER)
EYE_LEFT = _closed(topology.EYE_LEFT_UPPER, topology.EYE_LEFT_LOWER)
EYE_RIGHT = _closed(topology.EYE_RIGHT_UPPER, topology.EYE_RIGHT_LOWER)


def _toned(power: float, bright: float, tint: float) -> Recolour:
    def recolour(picture: Image.Image, points: Points) -> Image.Image:
        luma, *chroma = (
            np.asarray(plane, np.float32) for plane in picture.convert("YCbCr").split()
        )
        planes = [(luma / 255) ** power * bright * 255, *(128 + (c - 128) * tint for c in chroma)]
        whole = np.stack(planes, -1).round().clip(0, 255).astype(np.uint8)
        return Image.fromarray(whole, "YCbCr").convert("RGB")

    return recolour


def _lipstick(picture: Image.Image, points: Points) -> Image.Image:
    mask = Image.new("L", picture.size)
    pen = ImageDraw.Draw(mask)
    pen.polygon([tuple(p) for p in points[LIPS_OUTER]], fill=150)
    pen.polygon([tuple(p) for p in points[LIPS_INNER]], fill=0)
    paint = Image.new("RGB", picture.size, (150, 10, 35))
    return Image.composite(paint, picture, mask.filter(ImageFilter.GaussianBlur(1)))


def _glasses(picture: Image.Image, points: Points) -> Image.Image:
    out = picture.copy()
    pen = ImageDraw.Draw(out)
    io = float(np.linalg.norm(points[33] - points[263]))
    middles = [points[ring].mean(0) for ring in (EYE_LEFT, EYE_RIGHT)]
    line = max(2, round(0.035 * io))
    for x, y in middles:
        wide, high = 0.29 * io, 0.24 * io
        pen.ellipse((x - wide, y - high, x + wide, y + high), outline=(25, 20, 20), width=line)
    (x0, y0), (x1, y1) = middles
    pen.line((x0 + 0.29 * io, y0, x1 - 0.29 * io, y1), fill=(25, 20, 20), width=line)
    return out


VARIANTS: dict[str, Recolour] = {
    "as it is": lambda picture, points: picture,
    "dark": _toned(*DARK),
    "pale": _toned(*PALE),
    "lipstick": _lipstick,
    "glasses": _glasses,
}


def skins(sheet: Path | None) -> Iterator[str]:
    """A Markdown table; with `sheet` also a picture."""
    yield "| portrait | " + " | ".join(FIGURES.values()) + " |"
    yield "|-|" + "-|" * len(FIGURES)
    rows: list[list[Image.Image]] = []
    with tempfile.TemporaryDirectory(prefix="f2f-bench-") as text:
        meshes = _meshes(Path(text))
        for name, recolour in VARIANTS.items():
            folder = Path(text) / name.replace(" ", "-")
            (folder / "scratch").mkdir(parents=True)
            video = _write(folder / "reference.mp4", recolour, meshes)
            found = _rendered(folder, video)
            yield f"| {name} | " + " | ".join(_shown(found.get(key)) for key in FIGURES) + " |"
            rows.append(_mouths(video, folder / "out.mp4", meshes[0]))
    if sheet is not None:
        _drawn(rows).save(sheet, quality=88)


def _shown(value: float | None) -> str:
    return "–" if value is None else f"{value:.3g}"


def _meshes(scratch: Path) -> Points:
    """(N, 478, 2) pixels on the plain portrait."""
    frames = demo_frames(demo_facts().frames)
    track = tracked(frames, demo_facts(), len(frames), scratch)
    points: Points = track.points(0, len(frames))[..., :2].numpy()
    return points


def _write(target: Path, recolour: Recolour, meshes: Points) -> Path:
    with av.open(str(DEMO)) as inside, av.open(str(target), "w") as outside:
        shown = inside.streams.video[0]
        stream = outside.add_stream("libx264", shown.average_rate, options=_NEARLY_LOSSLESS)
        stream.width, stream.height, stream.pix_fmt = shown.width, shown.height, "yuv420p"
        for frame, points in zip(inside.decode(shown), meshes, strict=False):
            painted = np.asarray(recolour(_image(frame), points))
            outside.mux(stream.encode(av.VideoFrame.from_ndarray(painted, "rgb24")))
        outside.mux(stream.encode(None))
    return target


def _image(frame: av.VideoFrame) -> Image.Image:
    return Image.fromarray(frame.to_ndarray(format="rgb24"))


def _rendered(folder: Path, video: Path) -> dict[str, float]:
    out = folder / "out.mp4"
    spec = RenderSpec(
        audio=SPEECH, video=video, output=out, scratch=folder / "scratch", job_id="skins"
    )
    render(spec, lambda tick: None)
    found = evaluate(Sources(out, video, SPEECH), labels=False).as_json()
    return {key: float(measure["value"]) for key, measure in found["measures"].items()}


def _mouths(video: Path, output: Path, points: Points) -> list[Image.Image]:
    x, y = points[LIPS_OUTER].mean(0)
    half = 0.62 * float(np.linalg.norm(points[33] - points[263]))
    box = (round(x - half), round(y - half), round(x + half), round(y + half))
    with av.open(str(output)) as file:
        step = max(1, file.streams.video[0].frames // (SHOWN + 1))
        shown = list(islice(file.decode(video=0), step, None, step))[:SHOWN]
    with av.open(str(video)) as file:
        shown = [next(file.decode(video=0)), *shown]
    return [_image(frame).crop(box).resize((SIDE, SIDE)) for frame in shown]


def _drawn(rows: list[list[Image.Image]]) -> Image.Image:
    sheet = Image.new("RGB", (SIDE * (SHOWN + 1), SIDE * len(rows)))
    for down, row in enumerate(rows):
        for right, cell in enumerate(row):
            sheet.paste(cell, (right * SIDE, down * SIDE))
    return sheet
