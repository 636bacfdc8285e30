"""What a second job on the same video costs beside the first, in one run."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

from pipeline.types import AvatarFolder, RenderSpec
from schemas.render import RenderReport
from tests.bench import clips
from tests.bench.speed import Cost, plain, rendered


def avatars(seconds: float, threads: int, engine: str = "viseme") -> list[str]:
    """One table: a silent and a talking reference at 720p25; first job, second job, plain."""
    lines: list[str] = []
    for name, source in (("silent", clips.reference()), ("talking", clips.talking())):
        with tempfile.TemporaryDirectory(prefix="f2f-bench-") as folder:
            lines += _case(name, source, Path(folder), seconds, threads, engine)
    return lines


def _case(
    name: str, source: Path, folder: Path, seconds: float, threads: int, engine: str
) -> list[str]:
    (folder / "scratch").mkdir()
    spec = RenderSpec(
        audio=clips.cut_speech(clips.speech(), folder / "speech.wav", seconds),
        video=clips.make_720p25(source, folder / "reference.mp4", seconds),
        output=folder / "out.mp4",
        scratch=folder / "scratch",
        engine=engine,
        threads=threads,
    )
    rendered(spec)  # networks and libraries are loaded once per process
    spec = replace(spec, avatars=AvatarFolder(folder / "avatars", keep_free=0))
    first, before = rendered(spec)
    second, after = rendered(spec)
    bare = plain(spec)
    if after.avatar is None or not after.avatar.reused:
        raise RuntimeError(f"the second job prepared anew: {after.avatar}")
    kept = sum(path.stat().st_size for path in (folder / "avatars").rglob("*.safetensors"))
    frames = after.media.frames
    return [
        f"{name} reference, {after.media.width}x{after.media.height}, {frames} frames,"
        f" {threads} threads, {kept / frames / 1e3:.0f} kB kept per frame:",
        _line("first job", first, bare, frames, before),
        _line("second job", second, bare, frames, after),
        _line("decode + encode", bare, bare, frames, None),
        f"  second / first   {second[0] / first[0]:6.2f} (processor {second[1] / first[1]:.2f})",
    ]


def _line(what: str, cost: Cost, bare: Cost, frames: int, report: RenderReport | None) -> str:
    wall, busy = (1e3 * part / frames for part in cost)
    stages = report.timings_ms if report else {}
    shown = ", ".join(
        f"{stage} {stages[stage] / frames:.2f}"
        for stage in ("avatar", "track", "prepare", "plan")
        if stage in stages
    )
    return (
        f"  {what:<16} processor {busy:5.1f} ms/frame, {cost[1] / bare[1]:.2f} of plain;"
        f" wall {wall:.1f}{'; busy ' + shown if shown else ''}"
    )
