"""CloudEvents 1.0 in Kafka binary mode: attributes in `ce_*` headers, the payload plain JSON.

Source: CloudEvents 1.0.2, Kafka Protocol Binding 1.0.2, section 3.2.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

SPEC_VERSION = "1.0"
CONTENT_TYPE = "application/json"
TYPE_PREFIX = "com.face2face."


class EventType(StrEnum):
    """`ce_type` of every message."""

    REQUEST = "com.face2face.request.v1"
    COMPLETED = "com.face2face.completed.v1"
    FAILED = "com.face2face.failed.v1"
    PROGRESS = "com.face2face.progress.v1"
    CONTROL = "com.face2face.control.v1"


@dataclass(frozen=True, slots=True)
class Envelope:
    """The CloudEvents attributes of one message."""

    id: str
    source: str
    type: EventType
    time: datetime
    """Aware; written in RFC 3339."""
    subject: str | None = None
    """The job id."""
    traceparent: str | None = None
    """W3C Trace Context, passed on as it came."""

    def headers(self) -> dict[str, str]:
        """Headers of the record, text by text; encode as UTF-8."""
        headers = {
            "ce_specversion": SPEC_VERSION,
            "ce_id": self.id,
            "ce_source": self.source,
            "ce_type": self.type.value,
            "ce_time": self.time.astimezone(UTC).isoformat().replace("+00:00", "Z"),
            "ce_dataschema": f"urn:face2face:{self.type.value.removeprefix(TYPE_PREFIX)}",
            "content-type": CONTENT_TYPE,
        }
        if self.subject is not None:
            headers["ce_subject"] = self.subject
        if self.traceparent is not None:
            headers["traceparent"] = self.traceparent
        return headers


def read_headers(headers: Sequence[tuple[str, bytes | None]] | Mapping[str, str]) -> dict[str, str]:
    """Headers as text; the last of a repeated name wins, undecodable bytes become U+FFFD."""
    pairs = headers.items() if isinstance(headers, Mapping) else headers
    read: dict[str, str] = {}
    for name, value in pairs:
        text = value.decode("utf-8", "replace") if isinstance(value, bytes) else (value or "")
        read[name] = text
    return read
