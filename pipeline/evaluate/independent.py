"""The output's mouth beside an ear that took no part in making it: pocketsphinx's phone loop."""

from __future__ import annotations

import torch

from pipeline.evaluate.evidence import Evidence
from pipeline.evaluate.ledger import Figures
from pipeline.quality.asked import LEAD_S
from pipeline.quality.measure import SMALL_IO
from pipeline.quality.sync import agreement, closures
from pipeline.reading.audio import Speech
from pipeline.speech.activity import activity
from pipeline.speech.grid import at_times, gaussian
from pipeline.speech.mel import hear
from pipeline.speech.mouth import table_curves
from pipeline.speech.sphinx import recognise

INDEPENDENT = (
    "independent_r",
    "independent_lag_ms",
    "independent_closures",
    "independent_closure_rate",
)
SHUT_SHARE = 0.15
"""Of the speaker's range, under which lips count as closed."""
_SIGMA_S = 0.045


def measure_independent(evidence: Evidence, speech: Speech, figures: Figures) -> None:
    """Write down opening and closures by the other recogniser's phones."""
    _, level = hear(speech.samples)
    spans = recognise(speech.samples, level)
    opening, _, _ = table_curves(spans, level.numel())
    curve = gaussian(opening * activity(level), _SIGMA_S)
    frames = torch.arange(evidence.output.video.frames, dtype=torch.float64)
    asked = at_times(curve, (frames + 0.5) / evidence.fps + LEAD_S)
    mouths = evidence.output.mouths
    found = agreement(asked, mouths.aperture, evidence.fps)
    still = "the mouth or what is heard does not move"
    figures.put("independent_r", found.best_r if found else None, still)
    figures.put("independent_lag_ms", 1000 * found.lag_s if found else None, still)
    shuts = closures(spans, mouths.aperture, evidence.fps, LEAD_S)
    figures.put("independent_closures", len(shuts))
    readable = float(mouths.io[mouths.usable].median()) >= SMALL_IO
    limit = SHUT_SHARE * evidence.range.top
    closed = sum(shut.aperture < limit for shut in shuts)
    rate = closed / len(shuts) if shuts and readable else None
    figures.put("independent_closure_rate", rate, "it hears none, or the face is too small")
