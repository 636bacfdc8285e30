"""Reading labels back from a file: what is there, whether it holds, and which job made it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av

from pipeline.container import open_media
from pipeline.errors import InputError
from pipeline.mark.credentials import read_credentials
from pipeline.mark.words import read_words
from pipeline.types import Limits
from schemas.codes import Stage

_OURS = ("found", "verified", "broken")


def read_labels(path: Path, anchors: str | None = None) -> dict[str, Any]:
    """Every layer of a file.

    Args:
        path: of any media file.
        anchors: PEM certificates that the signature may lead to.

    Returns:
        `found` (a layer of ours is there, whole or broken), `job_id` (None when no layer that holds
        names one), `layers` by name, each with a `status`: found, verified, broken, foreign (of
        another producer) or absent.

    Raises:
        InputError: the file is no media.
    """
    words = read_words(_metadata(path))
    credentials = read_credentials(path, anchors)
    if words["status"] == "found" and credentials["status"] == "verified":
        words = _confirm(words, credentials)
    layers = {"container": words, "c2pa": credentials}
    return {
        "found": any(_is_ours(layer) for layer in layers.values()),
        "job_id": _job(credentials, words),
        "layers": layers,
    }


def _is_ours(layer: dict[str, Any]) -> bool:
    if layer["status"] == "broken" and layer.get("producer") not in (None, "", "Face2Face"):
        return False
    return layer["status"] in _OURS


def _metadata(path: Path) -> dict[str, str]:
    limits = Limits(max_bytes=2**63)
    try:
        with open_media(path, limits, Stage.PROBE) as container:
            return dict(container.metadata)
    except av.FFmpegError as error:  # pragma: no cover - open_media names what it knows
        raise InputError(f"{path.name} cannot be read: {error}", stage=Stage.PROBE) from error


def _confirm(words: dict[str, Any], credentials: dict[str, Any]) -> dict[str, Any]:
    """The signature covers the container's metadata: what it says is then verified, too."""
    if words.get("job_id") != credentials.get("job_id"):
        reason = f"the signed manifest names job {credentials.get('job_id')!r}"
        return {**words, "status": "broken", "reason": reason}
    return {**words, "status": "verified"}


def _job(credentials: dict[str, Any], words: dict[str, Any]) -> str | None:
    """The job by the strongest layer that holds."""
    if credentials["status"] == "verified" and credentials.get("job_id"):
        return str(credentials["job_id"])
    if words["status"] in ("found", "verified"):
        return words.get("job_id")
    return None
