"""What tests of delivered records ask."""

from __future__ import annotations

from typing import Any

from consumer.jobs import Record
from consumer.kafka.delivery import to_record
from schemas.codes import ErrorCode, Stage
from schemas.render import ErrorFacts
from tests.integration.lab import Lab

ERROR = ErrorFacts(
    code=ErrorCode.WORKER_CRASHED, stage=Stage.GENERATE, message="it fell over", retryable=True
)


def headers_of(raw: Any) -> dict[str, str]:
    return {name: value.decode("utf-8", "replace") for name, value in raw.headers}


async def first_record(lab: Lab) -> Record:
    return to_record((await lab.read(lab.topics.requests, 1))[0])
