"""One picture that tells whether a video speaks: mouths over time, what was asked, what came."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor

from pipeline.quality.crops import crops
from pipeline.quality.measure import Quality
from pipeline.quality.sheet import ACROSS, BAD, GOOD, PLAIN, Strip, Tile, draw
from pipeline.quality.watch import Watched
from pipeline.reading.audio import Speech
from pipeline.speech.mouth import MouthCurve

T = TypeVar("T")
STRIP_S = 10.0
MAX_STRIPS = 6
"""Longer videos show six stretches, evenly spread."""


def draw_sheet(quality: Quality, png: Path) -> None:
    """Draw the contact sheet of a video that was measured.

    Raises:
        OSError: the file cannot be written.
    """
    strips = strips_of(quality.watched, quality.speech, quality.curve, quality.requested)
    sheet = draw(_title(quality), _rows(quality), strips)
    sheet.save(png, format="PNG", optimize=True)


def _title(quality: Quality) -> list[str]:
    f = quality.figures
    video = quality.watched.video
    lines = [
        f"{video.path.name}   {video.width} x {video.height}   {f['frames']} frames at "
        f"{f['fps']}   {f['video_s']} s   face in {f['face_frames']} frames, "
        f"{f['io_px']} px between the eyes",
        f"sharpness {f['sharpness']}   flicker {f['flicker_mean']} (p95 {f['flicker_p95']})   "
        f"acceleration of lips {f['lip_acceleration']}, of the skull {f['skull_acceleration']}",
    ]
    if quality.curve is not None:
        lines.append(
            f"asked and seen: r {f['aperture_r']}, best {f['aperture_best_r']} at "
            f"{f['aperture_lag_ms']} ms   lips shut on {f['closures_closed']} of {f['closures']} "
            f"p b m   open vowels {f['open_vowels_io']} io   "
            f"sound and picture differ by {f['length_error_frames']} frames"
        )
        lines.append("blue: aperture asked for   red: aperture seen   (distance of the eyes = 1)")
    return lines


def _rows(quality: Quality) -> list[tuple[str, list[Tile]]]:
    total = quality.watched.video.frames
    evenly = spread(list(range(total)))
    shuts, vowels = spread(quality.shuts), spread(quality.vowels)
    wanted = [*evenly, *(shut.frame for shut in shuts), *(frame for _, frame in vowels)]
    pictures = crops(quality.watched, wanted)
    fps = float(quality.watched.video.fps)
    seen = quality.watched.mouths.aperture

    def tile(frame: int, name: str, color: tuple[int, int, int]) -> Tile:
        text = f"{frame / fps:.2f} s {name} {float(seen[frame]):.3f}"
        return Tile(pictures[frame], text, color)

    return [
        ("evenly spread", [tile(n, "", PLAIN) for n in evenly]),
        (
            "p b m: green where the lips touch",
            [tile(s.frame, s.phone.name, GOOD if s.closed else BAD) for s in shuts],
        ),
        ("open vowels", [tile(frame, span.name, PLAIN) for span, frame in vowels]),
    ]


def spread(items: list[T]) -> list[T]:
    """At most one row of them, evenly picked."""
    if len(items) <= ACROSS:
        return items
    return [items[round(n * (len(items) - 1) / (ACROSS - 1))] for n in range(ACROSS)]


def strips_of(
    watched: Watched, speech: Speech | None, curve: MouthCurve | None, requested: Tensor | None
) -> list[Strip]:
    """What was asked and what came over the waveform and the phones, in parts of 10 s."""
    if speech is None or curve is None:
        return []
    measured, fps = watched.mouths.aperture, float(watched.video.fps)
    top = _top(measured, requested)
    return [
        Strip(
            start=start,
            end=end,
            samples=speech.samples,
            phones=curve.phones,
            requested=requested,
            measured=measured,
            fps=fps,
            top=top,
        )
        for start, end in stretches(float(watched.video.duration))
    ]


def stretches(seconds: float) -> list[tuple[float, float]]:
    """Which parts of a video are plotted: all of it, or six times 10 s of a long one."""
    total = max(0.5, seconds)
    count = min(MAX_STRIPS, max(1, math.ceil(total / STRIP_S - 0.05)))
    length = STRIP_S if total > MAX_STRIPS * STRIP_S else total / count
    starts = [n * (total - length) / max(1, count - 1) for n in range(count)]
    return [(start, start + length) for start in starts]


def _top(measured: Tensor, requested: Tensor | None) -> float:
    curves = [measured[torch.isfinite(measured)]]
    if requested is not None:
        curves.append(requested.float())
    highest = [float(curve.max()) for curve in curves if curve.numel()]
    return max(0.05, 1.05 * max(highest, default=0.0))
