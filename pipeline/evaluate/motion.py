"""How smoothly the lips, the chin and the rest of the face move."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from pipeline.evaluate.evidence import Evidence
from pipeline.evaluate.ledger import Figures
from pipeline.quality.mouths import Mouths, acceleration

_RATIOS = (
    "lip_acceleration_ratio",
    "lip_roughness_ratio",
    "chin_acceleration_ratio",
    "stable_acceleration_ratio",
)
_SAME_RATE = 0.01


def measure_motion(evidence: Evidence, figures: Figures) -> None:
    """Write down accelerations, against the reference where there is one."""
    ours = evidence.output.mouths
    lips = acceleration(ours.lips, ours.usable)
    figures.put("lip_acceleration", lips, "no three neighbouring frames show the face")
    reference = evidence.reference
    if reference is None:
        figures.leave_out("needs --reference", *_RATIOS)
        return
    if reference.video.still:
        figures.leave_out("the reference is a still picture", *_RATIOS)
        return
    if abs(float(reference.video.fps) / evidence.fps - 1) > _SAME_RATE:
        figures.leave_out("output and reference have different frame rates", *_RATIOS)
        return
    theirs = _under(evidence, reference.mouths)
    silent = "the reference does not talk: its lips rest"
    if evidence.range.talks:
        figures.ratio(
            "lip_acceleration_ratio", lips, acceleration(theirs.lips, theirs.usable), silent
        )
        ours_chin, their_chin = (acceleration(m.chin_points, m.usable) for m in (ours, theirs))
        figures.ratio("chin_acceleration_ratio", ours_chin, their_chin, silent)
    else:
        figures.leave_out(silent, "lip_acceleration_ratio", "chin_acceleration_ratio")
    figures.ratio("lip_roughness_ratio", _roughness(ours), _roughness(theirs), silent)
    our_skull, their_skull = (acceleration(m.skull, m.usable) for m in (ours, theirs))
    still = "the reference does not move"
    figures.ratio("stable_acceleration_ratio", our_skull, their_skull, still)


def _under(evidence: Evidence, theirs: Mouths) -> Mouths:
    """The reference's mouth on those frames alone that lie under the output.

    Somebody who laughs in the second half of a clip shakes there: a speech of the first half is not
    to be compared with that.
    """
    if evidence.timeline is None:
        return theirs
    used = torch.zeros_like(theirs.usable)
    under = [evidence.timeline.source(n) for n in range(evidence.timeline.frames)]
    used[[frame for frame in under if frame < len(used)]] = True
    return replace(theirs, usable=theirs.usable & used)


def speed(places: Tensor, usable: Tensor) -> float | None:
    """Mean length of the first difference of (N, K, 2) places over time, io per frame."""
    two = usable[1:] & usable[:-1]
    if not bool(two.any()):
        return None
    return float((places[1:] - places[:-1])[two].norm(dim=-1).mean())


def _roughness(mouths: Mouths) -> float | None:
    """Second over first difference of the lips: 1.7 for noise, well under 1 for speech."""
    fast, bent = speed(mouths.lips, mouths.usable), acceleration(mouths.lips, mouths.usable)
    return bent / fast if fast and bent is not None and torch.isfinite(torch.tensor(fast)) else None
