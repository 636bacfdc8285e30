"""Which labels a render gets, put on, and reported: one place for both kinds of engine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pipeline.mark.certificate import development_identity, load_identity
from pipeline.mark.credentials import Origin, sign
from pipeline.mark.visible import VisibleLabel
from pipeline.mark.words import container_metadata
from pipeline.types import Marks, RenderSpec
from schemas.render import EngineFacts

OFF = "off"


def choose_marks(
    *,
    container: bool,
    credentials: bool,
    certificate: str | None,
    key: str | None,
    identity_dir: str,
    consent: dict[str, Any] | None,
) -> Marks:
    """Labels as somebody's settings want them.

    Args:
        container: write text into the container.
        credentials: sign a C2PA manifest.
        certificate: path of a PEM chain to sign with; None takes the development certificate.
        key: path of its PEM key.
        identity_dir: folder of the development certificate, made there when it is missing.
        consent: for the signed manifest.

    Raises:
        EngineFailed: certificate and key cannot be used.
    """
    identity = None
    if credentials and certificate is not None and key is not None:
        identity = load_identity(Path(certificate), Path(key))
    elif credentials:
        identity = development_identity(Path(identity_dir))
    return Marks(words=container, identity=identity, consent=consent)


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
