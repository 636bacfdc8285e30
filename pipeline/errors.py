"""The error tree of the pipeline. Each error carries a code, a stage and a detail for machines.

PipelineError
├── InputError                 the input can never work: a retry cannot help
│   ├── InputUnreadable        not media, truncated beyond use, or no decoder for it
│   ├── MediaLimitExceeded     too many pixels, seconds, streams or bytes
│   ├── NoVideo · NoAudio      the stream that is needed is missing
│   ├── NoFace                 no frame shows a usable face
│   ├── LabelUnfit             no font can draw the label that is asked for
│   └── UnknownEngine          no engine of that name
├── WeightsMissing             files are not on this machine; names the command that brings them
├── EngineUnavailable          the engine is a service, and it does not answer
├── EngineFailed               the engine broke
├── OutputInvalid              the result did not pass verification
├── OutOfMemory · ScratchFull  this machine ran out of something
├── DeadlineExceeded           the job's time is over
└── Cancelled                  somebody asked to stop
"""

from __future__ import annotations

from typing import Any, ClassVar

from schemas.codes import ErrorCode, Stage, facts
from schemas.render import ErrorFacts


class PipelineError(Exception):
    """Base of all errors that the pipeline raises on purpose.

    Args:
        message: one sentence that names the value and the limit.
        stage: where it happened.
        detail: facts for machines, JSON types only.
    """

    code: ClassVar[ErrorCode] = ErrorCode.INTERNAL

    def __init__(self, message: str, *, stage: Stage, **detail: Any) -> None:
        super().__init__(message)
        self.message = message
        self.stage = stage
        self.detail = detail

    def error_facts(self) -> ErrorFacts:
        """The error as a contract, with the code's advice behind the message."""
        known = facts(self.code)
        text = f"{self.message.rstrip('.')}. {known.advice}"
        text = text.encode("utf-8", "replace").decode()  # a file's name may hold any bytes
        return ErrorFacts(
            code=self.code,
            stage=self.stage,
            message=text[:4000],
            retryable=known.retryable,
            detail=self.detail,
        )


class InputError(PipelineError):
    """The input can never work."""


class InputUnreadable(InputError):
    """Not media, truncated beyond use, or no decoder for it."""

    code = ErrorCode.INPUT_UNREADABLE


class MediaLimitExceeded(InputError):
    """Too many pixels, seconds, streams or bytes."""

    code = ErrorCode.MEDIA_LIMIT


class NoVideo(InputError):
    """No video or picture stream."""

    code = ErrorCode.NO_VIDEO


class NoAudio(InputError):
    """No audio stream, or one without a single sample."""

    code = ErrorCode.NO_AUDIO


class NoFace(InputError):
    """No frame shows a usable face."""

    code = ErrorCode.NO_FACE


class LabelUnfit(InputError):
    """The visible label that is asked for cannot be drawn."""

    code = ErrorCode.INVALID_REQUEST


class UnknownEngine(InputError):
    """No engine of that name."""

    code = ErrorCode.UNKNOWN_ENGINE


class WeightsMissing(PipelineError):
    """Weights are not on this machine."""

    code = ErrorCode.WEIGHTS_MISSING


class EngineUnavailable(PipelineError):
    """The engine is a service, and it does not answer."""

    code = ErrorCode.ENGINE_UNAVAILABLE


class EngineFailed(PipelineError):
    """The engine broke."""

    code = ErrorCode.ENGINE_FAILED


class OutputInvalid(PipelineError):
    """The result did not pass verification."""

    code = ErrorCode.OUTPUT_INVALID


class OutOfMemory(PipelineError):
    """The device or the host has no memory left for this."""

    code = ErrorCode.OUT_OF_MEMORY


class ScratchFull(PipelineError):
    """The scratch disk is full."""

    code = ErrorCode.SCRATCH_FULL


class DeadlineExceeded(PipelineError):
    """The job's time is over."""

    code = ErrorCode.DEADLINE_EXCEEDED


class Cancelled(PipelineError):
    """Somebody asked to stop."""

    code = ErrorCode.CANCELLED


def in_one_line(error: object, most: int = 200) -> str:
    """What an error of somebody else's says, in so many letters; its type if it says nothing."""
    return " ".join(str(error).split())[:most] or type(error).__name__
