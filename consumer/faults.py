"""The one exception that carries why a job, or a part of it, did not work: a `Fault`."""

from __future__ import annotations

import errno
from typing import Any, Self

from schemas.codes import ErrorCode, Stage, facts
from schemas.render import ErrorFacts

_NO_FILES = frozenset({errno.EMFILE, errno.ENFILE})


class Fault(Exception):
    """Something foreseen went wrong; `error` is what the failed event would say."""

    def __init__(self, error: ErrorFacts) -> None:
        super().__init__(f"{error.code.value} ({error.stage.value}): {error.message}")
        self.error = error

    @classmethod
    def of(cls, code: ErrorCode, stage: Stage, message: str, **detail: Any) -> Self:
        """A fault from its parts; the advice of the code is put behind the message."""
        text = f"{message.rstrip('.')}. {facts(code).advice}"
        return cls.plain(code, stage, text, **detail)

    @classmethod
    def plain(cls, code: ErrorCode, stage: Stage, message: str, **detail: Any) -> Self:
        """A fault whose message says itself what to do, as the code's advice is about jobs."""
        retryable = facts(code).retryable
        return cls(
            ErrorFacts(
                code=code, stage=stage, message=message[:4000], retryable=retryable, detail=detail
            )
        )

    @classmethod
    def unforeseen(cls, error: Exception) -> Fault:
        """A fault of what nobody expected to fail: the machine's, or a defect of this program."""
        said = f"{type(error).__name__}: {error}"[:3000]
        if isinstance(error, OSError) and error.errno in _NO_FILES:
            text = (
                f"no more files can be opened ({error.strerror}); raise the limit of open files "
                "(ulimit -n), or lower F2F_BACKLOG"
            )
            return cls.of(ErrorCode.OUT_OF_MEMORY, Stage.ADMIT, text)
        return cls.of(ErrorCode.INTERNAL, Stage.ADMIT, said)

    @property
    def what(self) -> str:
        """What happened, without the code's advice: that is about jobs."""
        return self.error.message.removesuffix(facts(self.code).advice).rstrip()

    @property
    def code(self) -> ErrorCode:
        """The stable code."""
        return self.error.code
