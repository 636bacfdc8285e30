"""What a second job on the same video costs beside the first, in one run."""

from __future__ import annotations

from dataclasses import replace

from pipeline.types import AvatarFolder, RenderSpec
from schemas.render import RenderReport
from tests.bench.speed import Cost, of_both, plain, rendered


def avatars(seconds: float, threads: int, engine: str = "viseme") -> list[str]:
    """One table: a silent and a talking reference at 720p25; first job, second job, plain."""
    return of_both(_case, seconds, threads, engine)


def _case(name: str, spec: RenderSpec) -> list[str]:
    folder = spec.output.parent
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
        f" {spec.threads} threads, {kept / frames / 1e3:.0f} kB kept per frame:",
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
