"""The whole suite over one output."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from pipeline.evaluate.ends import measure_ends
from pipeline.evaluate.evidence import Evidence, Sources, gather
from pipeline.evaluate.ledger import Figures
from pipeline.evaluate.lips import Spoken, measure_lips
from pipeline.evaluate.lse import measure_lse
from pipeline.evaluate.motion import measure_motion
from pipeline.evaluate.own import measure_own
from pipeline.evaluate.pixels import Outside, measure_pixels
from pipeline.mark.reading import read_labels
from pipeline.quality.watch import one_thread


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What was found, and what the report is drawn of."""

    evidence: Evidence
    figures: Figures
    spoken: Spoken
    outside: Outside | None
    labels: dict[str, Any]

    def as_json(self) -> dict[str, Any]:
        """One object of JSON types: files, video, measures, left_out, labels."""
        sources, video = self.evidence.sources, self.evidence.output.video
        mouths = self.evidence.output.mouths
        given = ("output", "reference", "audio", "truth", "syncnet")
        paths = {name: getattr(sources, name) for name in given}
        return {
            "files": {name: str(path) for name, path in paths.items() if path is not None},
            "video": {
                "width": video.width,
                "height": video.height,
                "fps": f"{video.fps.numerator}/{video.fps.denominator}",
                "frames": video.frames,
                "seconds": round(float(video.duration), 4),
                "face_frames": int(mouths.usable.sum()),
                "io_px": round(float(mouths.io[mouths.usable].median()), 1),
            },
            "range_io": {
                "top": round(self.evidence.range.top, 4),
                "rest": round(self.evidence.range.rest, 4),
                "talks": self.evidence.range.talks,
            },
            "measures": self.figures.measures(),
            "left_out": self.figures.left_out(),
            "labels": self.labels,
        }


def evaluate(
    sources: Sources, *, device: str = "cpu", threads: int = 2, labels: bool = True
) -> Evaluation:
    """Measure an output from files alone.

    Args:
        labels: read them, too; the invisible one is looked for in every frame.

    Raises:
        InputError: a file is no video or no sound, shows no face, or is no SyncNet.
        WeightsMissing: the face models are not on this machine.
    """
    with one_thread(), torch.inference_mode():
        return _evaluate(sources, device, threads, labels)


def _evaluate(sources: Sources, device: str, threads: int, labels: bool) -> Evaluation:
    evidence = gather(sources, device, threads)
    figures = Figures()
    spoken = measure_lips(evidence, figures)
    measure_own(evidence, device, threads, figures)
    measure_motion(evidence, figures)
    outside = measure_pixels(evidence, figures)
    measure_ends(evidence, figures)
    measure_lse(evidence, sources.syncnet, device, figures)
    found = read_labels(sources.output) if labels else {"found": None, "job_id": None, "layers": {}}
    return Evaluation(evidence, figures, spoken, outside, found)
