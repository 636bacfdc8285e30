"""Speech → mouth on unseen halves of talking clips: what it should be predicted from.

Each clip that talks is cut in two; a map is fitted on one half and measured on the other, both
ways. Every map has the same ridge, its strength cross-validated inside its half, and the same hard
closures. The last two rows are the general table, which learns nothing, and what ships: the fit
blended with the table (`pipeline.speech.fit`). Lips are what the engine `viseme` would paint over
the frames of the unseen half, but for the fast part of the lenders' shapes.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import torch
from torch import Tensor

from pipeline.engines.viseme import tracked
from pipeline.engines.viseme.expression import keep_width, slow
from pipeline.engines.viseme.features import measure
from pipeline.engines.viseme.heads import Heads
from pipeline.engines.viseme.points import PLACE
from pipeline.engines.viseme.shape import CHIN_PER_APERTURE, edit
from pipeline.errors import NoAudio
from pipeline.quality.mouths import LIPS
from pipeline.quality.sync import agreement
from pipeline.quality.watch import LIMITS
from pipeline.reading.audio import Speech, load_speech
from pipeline.reading.decode import FrameReader
from pipeline.reading.probe import probe_video
from pipeline.speech.cues import CUES, DELAYS_S, cues, rows, scales
from pipeline.speech.fit import fit_person, shares
from pipeline.speech.grid import at_times, gaussian
from pipeline.speech.mouth import Hearing, MouthCurve, listen, plan_heard
from pipeline.speech.mouth_range import MouthPath, MouthRange
from pipeline.speech.phones import SILENCE, PhoneSpan, labels
from pipeline.speech.ridge import choose, correlation, solve
from pipeline.speech.sphinx import recognise
from pipeline.speech.targets import LEAD
from pipeline.speech.visemes import TABLE
from schemas.request import RenderOptions
from tests.bench import clips
from tests.support import tracking

TALKS_S = 2.0
"""Seconds of phones from which a clip talks."""
HEAD = "| predicted from | half | r aperture | at best lag | r width | r jaw | lips, io |"
STILL, TRUE = "standing still", "the true aperture"


@dataclass(frozen=True, slots=True)
class Talk:
    """One talking clip: its mouth and its sound."""

    name: str
    fps: Fraction
    ap: Tensor
    w: Tensor
    jaw: Tensor
    """(N,) each, io; NaN without a face."""
    shape: Tensor
    """(N, K, 3) io, free of the head's pose; NaN without a face."""
    own: Tensor
    """(N, K, 3) io, its slow part (`pipeline.engines.viseme.expression`)."""
    usable: Tensor
    speech: Speech
    heard: Hearing
    table: MouthCurve
    english: Tensor
    """(40, T) one row for each phone that pocketsphinx knows."""

    @property
    def times(self) -> Tensor:
        """(N,) seconds at which the sound of each frame is read."""
        middles = torch.arange(len(self.ap), dtype=torch.float64) + 0.5
        return middles / float(self.fps) + float(LEAD)


Features = Callable[[Talk], Tensor]


def mapping() -> Iterator[str]:
    """Lines of a Markdown table."""
    if not clips.MEDIA.exists():
        yield "the clips are not on this machine: set F2F_MEDIA to their folder"
        return
    talks = [t for path in sorted(clips.MEDIA.glob("v*")) if (t := _talk(path)) is not None]
    yield HEAD
    yield "|" + "-|" * 7
    measured: dict[str, list[list[float]]] = {}
    for talk in talks:
        for seen, unseen, label in _halves(talk):
            for name, path in _paths(talk, seen):
                figures = _figures(talk, path, seen, unseen)
                measured.setdefault(name, []).append(figures)
                if name in ("ships", STILL):
                    yield _row(name, f"{talk.name} {label}", figures)
    for name, all_figures in measured.items():
        mean = torch.tensor(all_figures, dtype=torch.float64).mean(0).tolist()
        yield _row(name, f"mean of {len(all_figures)}", mean)


def _row(name: str, half: str, figures: list[float]) -> str:
    cells = [f"{value:.3f}" for value in figures]
    return f"| {name} | {half} | " + " | ".join(cells) + " |"


def _talk(path: Path) -> Talk | None:
    try:
        speech = load_speech(path, LIMITS, under_picture=True)
    except NoAudio:
        return None
    heard = listen(speech)
    if sum(span.duration for span in heard.phones if span.name != SILENCE) < TALKS_S:
        return None
    video = probe_video(path, LIMITS, RenderOptions())
    reader = FrameReader(video, 1)
    with tempfile.TemporaryDirectory(prefix="f2f-bench-") as scratch, torch.inference_mode():
        read = reader.read(range(video.frames))
        track = tracking.tracked(read, video, video.frames, Path(scratch), limits=LIMITS)
        parts = list(tracked.all_heads(track, tracked.clip_skull(track)))
    frames = torch.cat([part for part, _ in parts])
    heads = Heads.join([found for _, found in parts])
    mouths = measure(heads.shape)

    def whole(values: Tensor) -> Tensor:
        out = torch.full((video.frames, *values.shape[1:]), float("nan"))
        out[frames] = values
        return out

    run = tracked.shots(track)
    return Talk(
        path.name.split("_")[0],
        video.fps,
        whole(mouths.aperture),
        whole(mouths.width),
        whole(mouths.jaw),
        whole(heads.shape),
        slow(heads.shape, frames, run, video.fps).float(),
        track.usable.clone(),
        speech,
        heard,
        plan_heard(heard),
        _one_hot(recognise(speech.samples, heard.level), heard.level.numel()),
    )


def _one_hot(spans: list[PhoneSpan], total: int) -> Tensor:
    index = torch.from_numpy(labels(spans, total))
    names = sorted(TABLE)
    rows_ = torch.tensor([names.index(span.name) for span in spans])[index]
    return torch.nn.functional.one_hot(rows_, len(names)).T.float()


def _halves(talk: Talk) -> Iterator[tuple[Tensor, Tensor, str]]:
    good = talk.usable.bool() & torch.isfinite(talk.ap)
    first = torch.arange(len(good)) < len(good) // 2
    yield good & first, good & ~first, "second"
    yield good & ~first, good & first, "first"


def _around(curves: Tensor, talk: Talk) -> Tensor:
    return torch.cat([at_times(curves, talk.times + delay) for delay in DELAYS_S]).T.double()


def _mel(talk: Talk) -> Tensor:
    spoken = talk.heard.active > 0.5
    mel = talk.heard.mel
    level = (mel - mel[:, spoken].mean(1, keepdim=True)) / mel[:, spoken].std(1, keepdim=True)
    return _around(gaussian(level * talk.heard.active, 0.03), talk)


def _all(talk: Talk) -> Tensor:
    return rows(talk.heard, cues(talk.heard, talk.table), talk.times)


SETS: dict[str, Features] = {
    "energy": lambda talk: _around(gaussian(talk.heard.level[None], 0.04), talk),
    "mel, 40 bands": _mel,
    "pocketsphinx phones": lambda talk: _around(gaussian(talk.english, 0.045), talk),
    "network: phones and cues": lambda talk: _all(talk)[:, : CUES * len(DELAYS_S)],
    "network: inner outputs": lambda talk: _all(talk)[:, CUES * len(DELAYS_S) :],
    "network: both": _all,
}


def _paths(talk: Talk, seen: Tensor) -> Iterator[tuple[str, Tensor]]:
    """Openness, width and jaw of all frames by every map, (N, 3)."""
    mouth = MouthRange.from_track(talk.ap, talk.w, seen)
    y = torch.nan_to_num(shares(talk.ap, talk.w, talk.jaw, mouth))
    cap = at_times(talk.table.cap, talk.times).double()
    for name, features in SETS.items():
        x = features(talk)
        x = x / (scales(x[seen]) if x.shape[1] > 500 else x[seen].std(0).clamp(min=0.05))
        strength = choose(x[seen], y[seen], talk.times[seen]).penalties
        path = solve(x[seen], y[seen], strength)(x)
        path[:, 0] = torch.minimum(path[:, 0], cap)
        yield name, path
    yield "general table", _read(talk.table, talk.times)
    fit = fit_person(talk.speech, talk.ap, talk.w, talk.jaw, seen, talk.fps)
    late = fit.offset_s if fit is not None else 0.0
    curve = fit.apply_heard(talk.heard) if fit is not None else talk.table
    yield "ships", _read(curve, talk.times + late)
    yield TRUE, y
    yield STILL, y[seen].mean(0).expand_as(y)


def _read(curve: MouthCurve, times: Tensor) -> Tensor:
    return at_times(torch.stack([curve.capped, curve.width, curve.jaw]), times).T.double()


def _figures(talk: Talk, path: Tensor, seen: Tensor, unseen: Tensor) -> list[float]:
    """r of aperture, the same at its best lag, r of width and jaw; distance of the lips, io."""
    mouth = MouthRange.from_track(talk.ap, talk.w, seen)
    y = torch.nan_to_num(shares(talk.ap, talk.w, talk.jaw, mouth))
    r, r_width, r_jaw = correlation(path[unseen], y[unseen]).tolist()
    true = torch.where(unseen, talk.ap, torch.nan)
    found = agreement(path[:, 0].float(), true, float(talk.fps))
    still = bool((path == path[:1]).all())
    base = talk.shape[seen].mean(0).expand_as(talk.shape) if still else talk.own
    aperture = (path[:, 0].clamp(min=0) * mouth.top).float()
    now = measure(base)
    drop = CHIN_PER_APERTURE * (aperture - now.aperture)
    width = now.width if still else _width(path[:, 1], mouth, talk)
    made = base if still else edit(base, aperture, width, drop)
    away = (made - talk.shape)[unseen][:, [PLACE[point] for point in LIPS], :2]
    best = found.best_r if found is not None else 0.0
    return [r, best, r_width, r_jaw, float(away.norm(dim=-1).mean())]


def _width(share: Tensor, mouth: MouthRange, talk: Talk) -> Tensor:
    """(N,) io, as `pipeline.engines.viseme.plan` plans it."""
    spread = share.float().clamp(-1, 1)
    wide, tight = mouth.wide - mouth.middle, mouth.middle - mouth.narrow
    width = mouth.middle + torch.where(spread > 0, spread * wide, spread * tight)
    path = MouthPath(torch.zeros_like(width), width, torch.zeros_like(width))
    return keep_width(path, talk.own, mouth, talk.fps).width
