"""Self re-enactment: the output beside the same person really saying the same words."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from pipeline.evaluate.evidence import Evidence
from pipeline.evaluate.ledger import Figures
from pipeline.evaluate.lips import envelope
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
)
SAME_SOUND = 0.6
"""Normalised cross-correlation from which one sound is taken for a part of another."""
_LEAST_FRAMES = 10
_MOSTLY = 0.9


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
    if _lies_on(evidence, seen, places[both], both):
        lips, true = ours.lips[both], theirs.lips[places[both]]
        figures.put("own_lip_distance_io", _distance(lips, true))
        figures.put("own_still_distance_io", _distance(true.mean(0, keepdim=True), true))
    else:
        other = "the output lies on other frames than those in which it was said: heads differ"
        figures.leave_out(other, "own_lip_distance_io", "own_still_distance_io")
    assert evidence.speech is not None
    loud = envelope(evidence.speech, evidence.fps, evidence.output.video.frames)
    base = agreement(loud, wanted, evidence.fps)
    figures.put("own_energy_r", base.r if base else None, still)
    figures.put("own_energy_lag_ms", 1000 * base.lag_s if base else None, still)


def _lies_on(evidence: Evidence, seen: Watched, places: Tensor, both: Tensor) -> bool:
    """The pictures under the output are those in which the person says it, give or take a frame."""
    line = evidence.timeline
    if line is None or seen is not evidence.reference:
        return False
    under = torch.tensor([line.source(n) for n in both.nonzero().flatten().tolist()])
    return float(((under - places).abs() <= 1).float().mean()) > _MOSTLY


def _distance(a: Tensor, b: Tensor) -> float:
    """Mean distance of points (N, K, 2)."""
    return float((a - b).norm(dim=-1).mean())
