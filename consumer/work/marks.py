"""From the settings to the labels that a render is told to put on."""

from __future__ import annotations

from typing import Any

from consumer.caches import signing_root
from consumer.settings import Settings
from consumer.workers.protocol import RenderMarks


def render_marks(settings: Settings, consent: dict[str, Any] | None) -> RenderMarks:
    """Labels of one job; what is off is off by a setting, and the report says so."""
    return RenderMarks(
        container=settings.label_container,
        producer=settings.label_producer,
        credentials=settings.label_credentials,
        watermark=settings.label_watermark,
        certificate=_path(settings.c2pa_certificate),
        key=_path(settings.c2pa_key),
        identity_dir=str(signing_root()),
        consent=consent,
    )


def _path(value: Any) -> str | None:
    return None if value is None else str(value.absolute())
