"""From the bytes of a record to a job, or to the reason why it can never be one.

Everything hostile ends here, within milliseconds and without an exception of any other kind
(`consumer.kafka.untrusted_json`); the reason names the field, its value (cut short, without
signatures) and the limit.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from consumer.faults import Fault
from consumer.jobs import Job, Record
from consumer.json_findings import reason
from consumer.kafka import delivery
from consumer.kafka.decompression import MOST_BYTES
from consumer.kafka.untrusted_json import MAX_SHOWN, Refused, parse, show
from schemas.codes import ErrorCode, Stage
from schemas.ids import choose_job_id, record_job_id
from schemas.render import ErrorFacts
from schemas.request import JOB_ID_PATTERN, RenderRequest

MAX_GENERATION = 1_000_000
MAX_SHOWN_ERRORS = 5

_JOB_ID = re.compile(JOB_ID_PATTERN.strip("^$"))


@dataclass(frozen=True, slots=True)
class Rejection:
    """A record that can never become a job."""

    job_id: str
    error: ErrorFacts


def admit(record: Record) -> Job | Rejection:
    """Read a record of the request or retry topic. Never raises."""
    data: Any = None
    try:
        unread = record.header(delivery.UNREAD)
        if unread is not None:
            raise Refused(unread, limit=MOST_BYTES)
        data = parse(record.value)
        request = _validate(data)
        generation = _generation(record)
    except Refused as refused:
        fault = Fault.of(ErrorCode.INVALID_REQUEST, Stage.ADMIT, str(refused), **refused.detail)
        return Rejection(_job_id_of(record, data), fault.error)
    return Job(
        record=record,
        job_id=choose_job_id(
            request, _named(record), record.topic, record.partition, record.offset
        ),
        request=request,
        generation=generation,
        traceparent=record.header("traceparent"),
    )


def _named(record: Record) -> str | None:
    """The id that the headers give: a copy's carried one before the event's own."""
    carried = record.header(delivery.JOB_ID)
    if carried is not None and _JOB_ID.fullmatch(carried):
        return carried
    return record.header("ce_id")


def _job_id_of(record: Record, data: Any) -> str:
    """The best id for a record that is refused."""
    named = data.get("job_id") if isinstance(data, dict) else None
    for text in (named, _named(record)):
        if isinstance(text, str) and _JOB_ID.fullmatch(text):
            return text
    return record_job_id(record.topic, record.partition, record.offset)


def _generation(record: Record) -> int:
    text = record.header(delivery.GENERATION)
    if text is None:
        return 0
    number = delivery.number(record, delivery.GENERATION)
    if number is None or number > MAX_GENERATION:
        raise Refused(
            f"header {delivery.GENERATION} = {show(text)} must be 0 to {MAX_GENERATION}",
            field=delivery.GENERATION,
            value=show(text),
            limit=MAX_GENERATION,
        )
    return number


def _validate(data: dict[str, Any]) -> RenderRequest:
    try:
        return RenderRequest.model_validate(data)
    except ValidationError as error:
        found = error.errors(include_url=False)
        lines = [_explain(line) for line in found[:MAX_SHOWN_ERRORS]]
        more = f" (and {len(found) - len(lines)} more)" if len(found) > len(lines) else ""
        raise Refused(
            "; ".join(lines) + more,
            field=".".join(str(part) for part in found[0]["loc"]),
            fields=[".".join(str(part) for part in line["loc"]) for line in found[:20]],
        ) from None


def _explain(line: Any) -> str:
    field = ".".join(str(part) for part in line["loc"])[:MAX_SHOWN] or "request"
    if line["type"] == "missing":
        return f"field {field!r} is missing"
    return f"field {field!r} = {show(line['input'])}: {reason(line)}"
