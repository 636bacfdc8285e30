"""The error codes of Face2Face: stable text, whether a retry can help, and one sentence to act on.

A code never changes its meaning and is never reused. New codes may be added, so a reader takes
those of a later release as they are: replicas of two releases share records, and clients are older
still.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Self

from pydantic import GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}")


class Open(StrEnum):
    """Names of this release, and whatever other name a later one may have given."""

    @classmethod
    def _missing_(cls, value: object) -> Self | None:
        if not isinstance(value, str) or not _NAME.fullmatch(value):
            return None
        later = str.__new__(cls, value)
        later._name_ = later._value_ = value
        return later

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Those of this release as examples: a closed list would refuse those of the next one."""
        schema = handler(core)
        schema["examples"] = schema.pop("enum")
        schema["pattern"] = f"^{_NAME.pattern}$"
        schema["description"] = f"{schema['description']} Later releases may have more."
        return schema


class ErrorCode(Open):
    """Why a job failed, as text that programs may compare."""

    INVALID_REQUEST = "INVALID_REQUEST"
    INPUT_NOT_FOUND = "INPUT_NOT_FOUND"
    INPUT_FORBIDDEN = "INPUT_FORBIDDEN"
    INPUT_TOO_LARGE = "INPUT_TOO_LARGE"
    INPUT_UNREADABLE = "INPUT_UNREADABLE"
    INPUT_UNREACHABLE = "INPUT_UNREACHABLE"
    MEDIA_LIMIT = "MEDIA_LIMIT"
    NO_VIDEO = "NO_VIDEO"
    NO_AUDIO = "NO_AUDIO"
    NO_FACE = "NO_FACE"
    UNKNOWN_ENGINE = "UNKNOWN_ENGINE"
    ENGINE_UNAVAILABLE = "ENGINE_UNAVAILABLE"
    WEIGHTS_MISSING = "WEIGHTS_MISSING"
    ENGINE_FAILED = "ENGINE_FAILED"
    OUTPUT_INVALID = "OUTPUT_INVALID"
    OUT_OF_MEMORY = "OUT_OF_MEMORY"
    SCRATCH_FULL = "SCRATCH_FULL"
    STORE_UNAVAILABLE = "STORE_UNAVAILABLE"
    STORE_DENIED = "STORE_DENIED"
    STORE_FULL = "STORE_FULL"
    BROKER_UNAVAILABLE = "BROKER_UNAVAILABLE"
    WORKER_CRASHED = "WORKER_CRASHED"
    WORKER_STALLED = "WORKER_STALLED"
    DEADLINE_EXCEEDED = "DEADLINE_EXCEEDED"
    CANCELLED = "CANCELLED"
    INTERNAL = "INTERNAL"


@dataclass(frozen=True, slots=True)
class CodeFacts:
    """What a code means for machines and for people."""

    retryable: bool
    """True when the same request may succeed later without being changed."""
    advice: str
    """One sentence that says what to do."""


_FACTS: dict[ErrorCode, CodeFacts] = {
    ErrorCode.INVALID_REQUEST: CodeFacts(
        False, "Correct the named field of the request and send it again."
    ),
    ErrorCode.INPUT_NOT_FOUND: CodeFacts(
        False, "Correct the path of a file, or the bucket and key of an object; upload it first."
    ),
    ErrorCode.INPUT_FORBIDDEN: CodeFacts(
        False, "Use an s3:// location, or ask the operator to allow the host."
    ),
    ErrorCode.INPUT_TOO_LARGE: CodeFacts(
        False, "Send a smaller file, or ask the operator to raise the byte limit."
    ),
    ErrorCode.INPUT_UNREADABLE: CodeFacts(
        False, "Check that the file plays; convert it to MP4/H.264 or WAV and upload it again."
    ),
    ErrorCode.INPUT_UNREACHABLE: CodeFacts(True, "Check that the host of the input answers."),
    ErrorCode.MEDIA_LIMIT: CodeFacts(False, "Shorten or scale down the media to the named limit."),
    ErrorCode.NO_VIDEO: CodeFacts(
        False, "Send a reference that has a video or picture stream; the two files may be mixed up."
    ),
    ErrorCode.NO_AUDIO: CodeFacts(
        False, "Send a speech file that has an audio stream; the two files may be mixed up."
    ),
    ErrorCode.NO_FACE: CodeFacts(
        False, "Send a reference that shows a face of at least 48 pixels, not in profile."
    ),
    ErrorCode.UNKNOWN_ENGINE: CodeFacts(
        False, "Name one of the engines that `face2face engines` lists."
    ),
    ErrorCode.ENGINE_UNAVAILABLE: CodeFacts(True, "Check the engine with `face2face doctor`."),
    ErrorCode.WEIGHTS_MISSING: CodeFacts(
        True,
        "Put what is named on every worker; `face2face engines` says what each engine lacks and how"
        " it gets it.",
    ),
    ErrorCode.ENGINE_FAILED: CodeFacts(True, "Look at the worker's log for this job."),
    ErrorCode.OUTPUT_INVALID: CodeFacts(
        True, "Report the job with its log: the result did not pass verification."
    ),
    ErrorCode.OUT_OF_MEMORY: CodeFacts(True, "Lower the slots per GPU or the input's size."),
    ErrorCode.SCRATCH_FULL: CodeFacts(True, "Free or enlarge the scratch disk."),
    ErrorCode.STORE_UNAVAILABLE: CodeFacts(True, "Check the object store."),
    ErrorCode.STORE_DENIED: CodeFacts(
        False, "Give the service's credentials access to the named bucket."
    ),
    ErrorCode.STORE_FULL: CodeFacts(
        True, "Raise the quota of the named bucket, or make room in it."
    ),
    ErrorCode.BROKER_UNAVAILABLE: CodeFacts(
        True,
        "Check the brokers, KAFKA_BOOTSTRAP_SERVERS, KAFKA_SECURITY_PROTOCOL and KAFKA_SASL_*, and"
        " that the topics are made.",
    ),
    ErrorCode.WORKER_CRASHED: CodeFacts(
        True, "Look at the worker's log: its process ended during this job."
    ),
    ErrorCode.WORKER_STALLED: CodeFacts(
        True,
        "Look at the worker's log: it sent no sign of life and was killed.",
    ),
    ErrorCode.DEADLINE_EXCEEDED: CodeFacts(
        False, "Give the job a later deadline, or shorten the audio."
    ),
    ErrorCode.CANCELLED: CodeFacts(False, "Nothing: the job was cancelled on request."),
    ErrorCode.INTERNAL: CodeFacts(
        True, "Report the job with its log: this is a defect of Face2Face."
    ),
}

_LATER = CodeFacts(False, "See the documentation of the release that wrote this.")


def facts(code: ErrorCode) -> CodeFacts:
    """Return what a code means. Every code has facts; a test holds the table complete."""
    return _FACTS.get(code, _LATER)


class Stage(Open):
    """Where in a job's life something happened."""

    ADMIT = "admit"
    FETCH = "fetch"
    PROBE = "probe"
    DECODE = "decode"
    TRACK = "track"
    GENERATE = "generate"
    ENCODE = "encode"
    MARK = "mark"
    VERIFY = "verify"
    STORE = "store"
    ANNOUNCE = "announce"
