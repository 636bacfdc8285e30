"""The AsyncAPI 3.0 document of the service, built from the same contracts as the code.

Source: AsyncAPI 3.0.0; Kafka bindings 0.5.0. Operations are named from the service's side.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from schemas.envelope import CONTENT_TYPE, SPEC_VERSION, EventType
from schemas.request import JOB_ID_PATTERN
from schemas.topics import Topics

KAFKA_BINDING = "0.5.0"


@dataclass(frozen=True, slots=True)
class _Channel:
    key: str
    """Of `schemas.topics.Topics`."""
    message: str
    action: Literal["send", "receive"]
    operation: str

    @property
    def address(self) -> str:
        return str(getattr(Topics(), self.key))

    @property
    def text(self) -> str:
        return _TEXTS[self.key]


_CHANNELS = (
    _Channel("requests", "request", "receive", "takeRequest"),
    _Channel("completed", "completed", "send", "announceCompleted"),
    _Channel("failed", "failed", "send", "announceFailed"),
    _Channel("progress", "progress", "send", "tellProgress"),
    _Channel("control", "control", "receive", "takeControl"),
    _Channel("retry", "request", "send", "postpone"),
    _Channel("dlq", "dead", "send", "setAside"),
)
_TEXTS = {
    "requests": "Upstream writes one job per record. At-least-once: sending a job twice renders "
    "once.",
    "completed": "The job is done; enough on its own. Copies carry the same ce_id: dedupe by it.",
    "failed": "The job failed for good. Copies carry the same ce_id: dedupe by it.",
    "progress": "Signs of life, at most every 2 s or 5 %; may be lost, never on the critical path.",
    "control": "Upstream's wishes about jobs, read by every replica.",
    "retry": "Transient failures with a due time header; only the service writes and reads it.",
    "dlq": "Raw bytes of what cannot be processed, with f2f-error-* and f2f-original-* headers.",
}


def document() -> dict[str, Any]:
    """The whole document as plain data."""
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Face2Face",
            "version": "1.0.0",
            "description": (
                "Speech and a reference video in, a lip-synced MP4 and exactly one outcome out. "
                "JSON values, CloudEvents 1.0 in Kafka binary mode, record key = job id. "
                "No order is promised between jobs."
            ),
            "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
        },
        "defaultContentType": CONTENT_TYPE,
        "servers": {
            "kafka": {
                "host": "{brokers}",
                "protocol": "kafka",
                "variables": {"brokers": {"default": "127.0.0.1:9092"}},
            }
        },
        "channels": {c.key: _channel(c) for c in _CHANNELS},
        "operations": {
            c.operation: {
                "action": c.action,
                "channel": {"$ref": f"#/channels/{c.key}"},
                "summary": c.text,
                "messages": [{"$ref": f"#/channels/{c.key}/messages/{c.message}"}],
            }
            for c in _CHANNELS
        },
        "components": {
            "messages": {
                **{kind.name.lower(): _message(kind) for kind in EventType},
                "dead": _dead(),
            }
        },
    }


def _channel(channel: _Channel) -> dict[str, Any]:
    return {
        "address": channel.address,
        "description": channel.text,
        "messages": {channel.message: {"$ref": f"#/components/messages/{channel.message}"}},
        "bindings": {"kafka": {"topic": channel.address, "bindingVersion": KAFKA_BINDING}},
    }


def _key() -> dict[str, Any]:
    return {
        "kafka": {
            "key": {"type": "string", "description": "the job id", "pattern": JOB_ID_PATTERN},
            "bindingVersion": KAFKA_BINDING,
        }
    }


def _message(kind: EventType) -> dict[str, Any]:
    name = kind.value.removeprefix("com.face2face.")
    ours = kind not in (EventType.REQUEST, EventType.CONTROL)
    return {
        "name": kind.value,
        "contentType": CONTENT_TYPE,
        "headers": _headers(kind, required=ours),
        "payload": {
            "schemaFormat": "application/schema+json;version=draft-2020-12",
            "schema": {"$ref": f"./schemas/{name}.json"},
        },
        "bindings": _key(),
    }


def _headers(kind: EventType, *, required: bool) -> dict[str, Any]:
    attributes: dict[str, Any] = {
        "ce_specversion": {"type": "string", "const": SPEC_VERSION},
        "ce_id": {"type": "string", "description": "the same on every copy of an outcome"},
        "ce_source": {"type": "string"},
        "ce_type": {"type": "string", "const": kind.value},
        "ce_time": {"type": "string", "format": "date-time"},
        "ce_subject": {"type": "string", "description": "the job id"},
        "ce_dataschema": {"type": "string"},
        "content-type": {"type": "string", "const": CONTENT_TYPE},
        "traceparent": {"type": "string", "description": "W3C Trace Context, passed on"},
    }
    headers: dict[str, Any] = {"type": "object", "properties": attributes}
    if required:
        optional = ("ce_subject", "traceparent")
        headers["required"] = [name for name in attributes if name not in optional]
    else:
        headers["description"] = "all optional: the bare JSON value is a valid message"
    return headers


_DEAD_HEADERS = {
    "f2f-job-id": "its job, or the id under which its failure was announced",
    "f2f-error-code": "stable error code",
    "f2f-error-message": "why, for people",
    "f2f-error-retryable": "true or false",
    "f2f-error-attempt": "attempts that were started; 0 where it is not a request",
    "f2f-error-first-failed-at": "RFC 3339",
    "f2f-attempt": "the same number of attempts",
    "f2f-original-topic": "where the record stood",
    "f2f-original-partition": "where the record stood",
    "f2f-original-offset": "where the record stood",
    "f2f-original-timestamp": "of the record, milliseconds since the epoch",
    "f2f-truncated": "bytes that the value had, where it is cut",
    "f2f-unread": "why there is no value: its batch cannot be decompressed",
}


def _dead() -> dict[str, Any]:
    return {
        "name": "dead",
        "contentType": "application/octet-stream",
        "headers": {
            "type": "object",
            "description": "beside the headers of the record itself",
            "properties": {
                name: {"type": "string", "description": text}
                for name, text in _DEAD_HEADERS.items()
            },
        },
        "payload": {"description": "the original bytes, untouched"},
    }
