"""What the engine says about a finished job."""

from __future__ import annotations

import torch
from torch import Tensor

from pipeline.engines.base import Finish
from pipeline.engines.viseme.plan import Plan

NEAR = 2
"""Frames of the reference that a mouth may step over without being a jump."""
MOSTLY = 0.5
"""Share of frames that may pass through without a word."""
SMALL_IO = 60.0
"""Pixels between the outer eye corners below which the mouth is too small to be read."""


def report(plan: Plan) -> Finish:
    """Figures, spans that passed through, and warnings."""
    avatar, tally = plan.avatar, plan.tally
    shown = plan.strength > 0
    wanted = plan.path.aperture.float()[shown]
    quality = {
        "mode": avatar.mode,
        "label": "exemplar, basic, no neural weights",
        "painted_frames": tally.painted,
        "passed_frames": plan.log.frames,
        "units_used": len(tally.units),
        "jumps": _jumps(plan),
        "bank_frames": len(avatar.bank) if avatar.bank is not None else 0,
        "inside": {
            "own": tally.inner_own,
            "lent": tally.inner_lent,
            "painted": tally.inner_painted,
        },
        "aperture_io": _spread(wanted),
        "closed_frames": int((plan.closed & shown).sum()),
        "range_io": {
            "top": round(avatar.range.top, 4),
            "rest": round(avatar.range.rest, 4),
            "narrow": round(avatar.range.narrow, 4),
            "wide": round(avatar.range.wide, 4),
        },
        "io_px": round(avatar.canvas.io, 1),
        "person_fit": avatar.fit is not None,
    }
    return Finish(quality=quality, spans=plan.log.spans(), warnings=_warnings(plan))


def _jumps(plan: Plan) -> int:
    """How often the lent mouth comes from elsewhere in the reference than the frame before."""
    bank = plan.avatar.bank
    if bank is None or plan.first is None:
        return 0
    units = bank.units
    far = units.frame[plan.first].diff().abs() > NEAR
    other = units.run[plan.first].diff() != 0
    return int((far | other).sum())


def _warnings(plan: Plan) -> list[str]:
    avatar = plan.avatar
    said: list[str] = []
    if (passed := float((plan.strength <= 0).float().mean())) > MOSTLY:
        said.append(
            f"viseme: {passed:.0%} of the output keep the reference's own mouth, as no usable face"
            " is seen there (`spans` says why); send a reference that shows the face throughout"
        )
    if avatar.canvas.io < SMALL_IO:
        said.append(
            f"viseme: the face is small ({avatar.canvas.io:.0f} px between the outer eye corners,"
            f" {SMALL_IO:.0f} are needed for lips that can be read)"
        )
    if avatar.mode == "warp+synth" and plan.tally.inner_painted:
        said.append(
            "viseme: the reference never opens its mouth, so teeth and tongue are painted; a"
            " reference that speaks gives a better picture"
        )
    if avatar.mode == "unit" and avatar.bank is not None:
        blurred = float((avatar.bank.units.penalty > 1.0).float().mean())
        if blurred > 0.5:
            said.append(
                f"viseme: {blurred:.0%} of the reference's frames are blurred by motion; the mouth"
                " will look soft"
            )
    return said


def _spread(values: Tensor) -> dict[str, float]:
    if not len(values):
        return {}
    at = torch.tensor([0.05, 0.5, 0.95], dtype=values.dtype)
    low, middle, high = values[:: max(1, len(values) // 100_000)].quantile(at).tolist()
    return {"p5": round(low, 4), "p50": round(middle, 4), "p95": round(high, 4)}
