"""Operators per frame of whole renders with MuseTalk, for a known and for a new reference.

In batches as on a GPU; the steps are those of the CPU, which are nearly the same ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from pipeline.render import render
from pipeline.types import AvatarFolder, RenderSpec, Tick
from schemas.render import RenderReport
from tests.bench import clips, stand_ins
from tests.bench.networks import random_networks
from tests.bench.operations import Counts, counted, per_frame

SHORT_S, LONG_S = 0.64, 1.92
"""Of speech: 16 and 48 frames, whole batches of a GPU."""


@dataclass(frozen=True, slots=True)
class Cost:
    """Operators per frame, networks left out."""

    known: dict[str, float]
    """By place: `decode`, `engine`, `encode`."""
    new: dict[str, float]
    """What tracking and preparing add for each frame of the reference."""


def cost(folder: Path, video: Path) -> Cost:
    """Render a reference while operators are counted.

    Args:
        folder: for files, empty.
        video: of 25 frames per second, at least `LONG_S` long.
    """
    with stand_ins.musetalk(random_networks(False, "cpu", torch.float32, True)):
        jobs = _Jobs(folder, video)
        jobs.render("first", LONG_S, known=True)
        jobs.render("second", SHORT_S, known=True)
        short, _ = jobs.counted("short", SHORT_S, known=True)
        long, report = jobs.counted("long", LONG_S, known=True)
        new, told = jobs.counted("new", LONG_S, known=False)
    more = report.media.frames - round(SHORT_S * 25)
    assert told.face is not None
    return Cost(per_frame(short, long, more), per_frame(long, new, told.face["frames"]))


@dataclass(frozen=True, slots=True)
class _Jobs:
    folder: Path
    video: Path

    def counted(self, name: str, seconds: float, *, known: bool) -> tuple[Counts, RenderReport]:
        with counted() as counts:
            report = self.render(name, seconds, known=known)
        return counts, report

    def render(self, name: str, seconds: float, *, known: bool) -> RenderReport:
        own = self.folder / name
        (own / "scratch").mkdir(parents=True)
        audio = clips.cut_speech(clips.speech(), own / "speech.wav", seconds)
        kept = AvatarFolder(self.folder / "avatars", keep_free=0) if known else None
        spec = RenderSpec(
            audio, self.video, own / "out.mp4", own / "scratch", engine="musetalk", avatars=kept
        )
        return render(spec, _ignore)


def _ignore(tick: Tick) -> None:
    pass
