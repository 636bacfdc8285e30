"""Self re-enactment: the output beside the same person really saying the same words."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from pipeline.evaluate.evidence import Evidence
from pipeline.evaluate.ledger import Figures
from pipeline.evaluate.lips import envelope
from pipeline.quality.mouths import Mouths
from pipeline.quality.sync import agreement
from pipeline.quality.watch import Watched, listen_under, watch

_OWN = (
    "own_r",
    "own_best_r",
    "own_lag_ms",
    "own_lip_distance_io",
    "own_energy_r",
    "own_energy_lag_ms",
    "own_still_distance_io",
    "own_energy_distance_io",
)
SAME_SOUND = 0.6
"""Normalised cross-correlation from which one sound is taken for a part of another."""
_LEAST_FRAMES = 10
_MOSTLY, _SAME_PLACE_IO = 0.9, 0.04
"""Share of the frames in which two heads lie as near to each other as two readings of one do."""
_TURNS = 3
"""Numbers that say how a head is turned: what is left of its aligned skull."""


def measure_own(evidence: Evidence, device: str, threads: int, figures: Figures) -> None:
    """Write down how near the output's mouth is to the person's own."""
    truth = evidence.sources.truth or evidence.sources.reference
    if truth is None or evidence.speech is None:
        figures.leave_out("needs --reference or --truth, and speech", *_OWN)
        return
    own = listen_under(truth)
    offset = find(evidence.speech.samples, own.samples) if own is not None else None
    if own is None or offset is None:
        figures.leave_out(f"the speech is not the sound of {truth.name}", *_OWN)
        return
    seen = _truth(evidence, truth, offset / own.rate, device, threads)
    places = _places(evidence, seen, offset / own.rate)
    _compare(evidence, seen, places, figures)


def find(part: Tensor, whole: Tensor) -> int | None:
    """Where one sound lies in another.

    Args:
        part: (n,) samples.
        whole: (m,) samples of the same rate.

    Returns:
        Samples of `whole` before the first of `part`, negative where `part` starts earlier; None
        where it does not lie in it.
    """
    size = 1 << (part.numel() + whole.numel() - 1).bit_length()
    spectrum = torch.fft.rfft(whole, size) * torch.fft.rfft(part, size).conj()
    match = torch.fft.irfft(spectrum, size)
    at = int(match.argmax())
    offset = at if at < whole.numel() else at - size
    begin, end = max(0, offset), min(whole.numel(), offset + part.numel())
    if end <= begin:
        return None
    ours, theirs = part[begin - offset : end - offset], whole[begin:end]
    energy = float(part.square().sum().sqrt() * theirs.square().sum().sqrt())
    alike = float((ours * theirs).sum()) / energy if energy > 0 else 0.0
    return offset if alike >= SAME_SOUND else None


def _truth(evidence: Evidence, path: Path, offset_s: float, device: str, threads: int) -> Watched:
    """The video of the person saying it, followed as far as it is needed."""
    reference = evidence.reference
    end = offset_s + float(evidence.output.video.duration)
    if reference is not None and path == evidence.sources.reference:
        fps, looked = float(reference.video.fps), len(reference.mouths.usable)
        if looked >= min(reference.video.frames, end * fps):
            return reference
    template = evidence.output.mouths.template
    height = min(max(evidence.output.video.height, 64), 4320)
    return watch(path, device, threads, max_height=height, template=template)


def _places(evidence: Evidence, seen: Watched, offset_s: float) -> Tensor:
    """(F,) frame of the truth for each output frame, -1 where it has none."""
    middles = (torch.arange(evidence.output.video.frames, dtype=torch.float64) + 0.5) / evidence.fps
    places = ((middles + offset_s) * float(seen.video.fps)).floor().long()
    inside = (places >= 0) & (places < len(seen.mouths.usable))
    inside &= middles >= evidence.sources.learnt_s
    return torch.where(inside, places, torch.full_like(places, -1))


def _compare(evidence: Evidence, seen: Watched, places: Tensor, figures: Figures) -> None:
    ours, theirs = evidence.output.mouths, seen.mouths
    both = (places >= 0) & ours.usable & theirs.usable[places.clamp(min=0)]
    if int(both.sum()) < _LEAST_FRAMES:
        figures.leave_out("fewer than 10 frames show the mouth in both", *_OWN)
        return
    nothing = torch.full_like(ours.aperture, torch.nan)
    wanted = torch.where(both, theirs.aperture[places.clamp(min=0)], nothing)
    found = agreement(wanted, ours.aperture, evidence.fps)
    still = "a mouth does not move"
    figures.put("own_r", found.r if found else None, still)
    figures.put("own_best_r", found.best_r if found else None, still)
    figures.put("own_lag_ms", 1000 * found.lag_s if found else None, still)
    assert evidence.speech is not None
    loud = envelope(evidence.speech, evidence.fps, evidence.output.video.frames)
    if lies_on(ours, theirs, both, places):
        true, turn = theirs.lips[places[both]], theirs.skull[places[both]]
        figures.put("own_lip_distance_io", _distance(ours.lips[both], true))
        figures.put("own_still_distance_io", _distance(followed(true, turn), true))
        by_loudness = followed(true, turn, loud[both])
        figures.put("own_energy_distance_io", _distance(by_loudness, true))
    else:
        other = "the output lies on other frames than those in which it was said: heads differ"
        names = [name for name in _OWN if name.endswith("distance_io")]
        figures.leave_out(other, *names)
    base = agreement(loud, wanted, evidence.fps)
    figures.put("own_energy_r", base.r if base else None, still)
    figures.put("own_energy_lag_ms", 1000 * base.lag_s if base else None, still)


def lies_on(ours: Mouths, theirs: Mouths, both: Tensor, places: Tensor) -> bool:
    """The heads of an output are those of the frames in which the person says it.

    Args:
        theirs: of the person saying it.
        both: (F,) bool, output frames that show a mouth in both.
        places: (F,) frame of `theirs` for each output frame.
    """
    apart = (ours.middle[both] - theirs.middle[places[both]]).abs() / ours.io[both]
    return float((apart < _SAME_PLACE_IO).float().mean()) > _MOSTLY


def followed(lips: Tensor, skull: Tensor, loud: Tensor | None = None) -> Tensor:
    """The lips of a mouth that keeps its shape while its head turns, or follows the loudness, too.

    Least squares in hindsight: the best of its kind.

    Args:
        lips: (N, K, 2) io, aligned by the skull in the picture's plane.
        skull: (N, S, 2) likewise; what moves there is the head's turning.
        loud: (N,).

    Returns:
        (N, K, 2).
    """
    away = (skull - skull.mean(0)).flatten(1).double()
    turn = torch.linalg.svd(away, full_matrices=False)[0][:, :_TURNS]
    extra = [] if loud is None else [loud.double().unsqueeze(1)]
    known = torch.cat([torch.ones(len(lips), 1, dtype=turn.dtype), turn, *extra], 1)
    wanted = lips.flatten(1).double()
    shape: Tensor = torch.linalg.lstsq(known, wanted).solution
    return (known @ shape).reshape(lips.shape).to(lips.dtype)


def _distance(a: Tensor, b: Tensor) -> float:
    """Mean distance of points (N, K, 2)."""
    return float((a - b).norm(dim=-1).mean())
