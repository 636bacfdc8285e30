"""Which labels a render gets, put on, and reported: one place for both kinds of engine."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from pipeline.errors import EngineUnavailable
from pipeline.mark.credentials import Origin, sign
from pipeline.mark.payload import job_digest
from pipeline.mark.visible import VisibleLabel
from pipeline.mark.watermark import Watermark, load_library
from pipeline.mark.words import PRODUCER, container_metadata
from pipeline.types import Frame, RenderSpec
from schemas.render import EngineFacts

OFF = "off"


class PictureMarks:
    """What is put into pictures after the engine made them: watermark first, label on top."""

    def __init__(self, *marks: VisibleLabel | Watermark) -> None:
        self._marks = marks

    def apply(self, frame: Frame) -> Frame:
        """The frame with its labels; called once for each frame of the output, in order."""
        for mark in self._marks:
            frame = mark.apply(frame)
        return frame


def load_libraries() -> None:
    """Load what labels need now, so that no job waits for it; what is missing is a job's matter."""
    with suppress(EngineUnavailable):
        load_library()


def picture_marks(spec: RenderSpec, width: int, height: int) -> PictureMarks:
    """The labels in the picture: the visible one by request, the watermark unless it is off.

    Raises:
        EngineUnavailable: the watermark is wanted and its library is not installed.
        LabelUnfit: the text cannot be drawn.
    """
    marks: list[VisibleLabel | Watermark] = []
    if spec.marks.watermark and spec.job_id is not None:
        marks.append(Watermark(spec.job_id, width, height))
    wanted = spec.options.label
    if wanted is not None and wanted.visible:
        marks.append(VisibleLabel.draw(wanted, width, height))
    return PictureMarks(*marks)


def words(spec: RenderSpec, engine: EngineFacts) -> dict[str, str]:
    """Text for the container; empty when it is switched off."""
    if not spec.marks.words:
        return {}
    producer = spec.marks.producer or PRODUCER
    return container_metadata(spec.job_id, engine.name, engine.revision, producer)


def seal(spec: RenderSpec, engine: EngineFacts) -> dict[str, Any]:
    """Sign the finished file, where somebody is to sign, and say which labels it carries.

    Returns:
        `RenderReport.labels`: `visible` (bool), `container` (keys, or "off"), `watermark`
        (digest, or "off"), `c2pa` (see `credentials.sign`, or "off").

    Raises:
        EngineFailed: the certificate or the file was refused.
    """
    label = spec.options.label
    labels: dict[str, Any] = {
        "visible": label is not None and label.visible,
        "container": sorted(words(spec, engine)) or OFF,
        "watermark": OFF,
    }
    if spec.marks.watermark and spec.job_id is not None:
        labels["watermark"] = {"digest": job_digest(spec.job_id)}
    if spec.marks.identity is None:
        return labels | {"c2pa": OFF}
    inputs = {"audio": spec.audio, "video": spec.video}
    origin = Origin(engine, spec.job_id, inputs, spec.marks.consent, labels)
    return labels | {"c2pa": sign(spec.output, origin, spec.marks.identity, spec.scratch)}
