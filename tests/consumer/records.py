"""Records as Kafka would hand them over, for tests without a broker."""

from __future__ import annotations

import json
from typing import Any

from consumer.jobs import Record

MINIMAL = {"audio_url": "s3://face2face/a.wav", "video_url": "s3://face2face/v.mp4"}


def make_record(value: bytes | dict[str, Any] | None = None, **changes: Any) -> Record:
    """A record of `face2face.requests`; a dict becomes JSON, nothing becomes the smallest one."""
    headers = changes.pop("headers", {})
    body = value if isinstance(value, bytes) else json.dumps(value or MINIMAL).encode()
    fields: dict[str, Any] = {
        "topic": "face2face.requests",
        "partition": 2,
        "offset": 41,
        "key": b"k",
        "value": body,
        "headers": tuple((name, str(text).encode()) for name, text in headers.items()),
        "timestamp_ms": 1_760_000_000_000,
    }
    return Record(**{**fields, **changes})
