"""Which labels a render gets, put on, and reported: one place for both kinds of engine."""

from __future__ import annotations

from typing import Any

from pipeline.mark.credentials import Origin, sign
from pipeline.mark.visible import VisibleLabel
from pipeline.mark.words import container_metadata
from pipeline.types import RenderSpec
from schemas.render import EngineFacts

OFF = "off"


def draw_visible(spec: RenderSpec, width: int, height: int) -> VisibleLabel | None:
    """The visible label, where the request asks for one."""
    wanted = spec.options.label
    if wanted is None or not wanted.visible:
        return None
    return VisibleLabel.draw(wanted, width, height)


def words(spec: RenderSpec, engine: EngineFacts) -> dict[str, str]:
    """Text for the container; empty when it is switched off."""
    if not spec.marks.words:
        return {}
    return container_metadata(spec.job_id, engine.name, engine.revision)


def seal(spec: RenderSpec, engine: EngineFacts) -> dict[str, Any]:
    """Sign the finished file, where somebody is to sign, and say which labels it carries.

    Returns:
        `RenderReport.labels`: `visible` (bool), `container` (keys, or "off"), `c2pa` (see
        `credentials.sign`, or "off").

    Raises:
        EngineFailed: the certificate or the file was refused.
    """
    label = spec.options.label
    labels: dict[str, Any] = {
        "visible": label is not None and label.visible,
        "container": sorted(words(spec, engine)) or OFF,
    }
    if spec.marks.identity is None:
        return labels | {"c2pa": OFF}
    inputs = {"audio": spec.audio, "video": spec.video}
    origin = Origin(engine, spec.job_id, inputs, spec.marks.consent, labels)
    return labels | {"c2pa": sign(spec.output, origin, spec.marks.identity, spec.scratch)}
