"""Which labels somebody's settings want. Without torch: a worker asks before its first render."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pipeline.mark.certificate import development_identity, load_identity
from pipeline.types import Marks


def choose_marks(
    *,
    container: bool,
    producer: str | None,
    credentials: bool,
    watermark: bool,
    certificate: str | None,
    key: str | None,
    identity_dir: str,
    consent: dict[str, Any] | None,
) -> Marks:
    """Labels as somebody's settings want them.

    Args:
        credentials: whether to sign at all.
        certificate: path of a PEM chain to sign with; None takes the development certificate.
        key: path of its PEM key.
        identity_dir: folder of the development certificate, made there when it is missing.

    Raises:
        EngineFailed: certificate and key cannot be used.
    """
    identity = None
    if credentials and certificate is not None and key is not None:
        identity = load_identity(Path(certificate), Path(key))
    elif credentials:
        identity = development_identity(Path(identity_dir))
    return Marks(container, producer, identity, watermark, consent)
