"""From the bytes of a record to a job, or to the reason why it can never be one.

Everything hostile ends here, within milliseconds and without an exception of any other kind: what
is too large is not parsed, what is parsed is bounded in depth and count, and the reason names the
field, its value (cut short, without signatures) and the limit.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from dataclasses import dataclass
from typing import Any, NoReturn

from pydantic import ValidationError

from consumer import delivery
from consumer.decompression import MOST_BYTES
from consumer.faults import Fault
from consumer.jobs import Job, Record
from schemas.codes import ErrorCode, Stage
from schemas.ids import choose_job_id, record_job_id
from schemas.render import ErrorFacts
from schemas.request import JOB_ID_PATTERN, RenderRequest

MAX_BYTES = 1024 * 1024
MAX_DEPTH = 64
MAX_VALUES = 20_000
"""Commas in the text: a bound on how many values there can be, far above any request.

Each costs Python about half a microsecond, and the loop that reads the topics waits meanwhile."""
MAX_INTEGER_BITS = 256
MAX_GENERATION = 1_000_000
MAX_SHOWN = 120
MAX_SHOWN_ERRORS = 5

_JOB_ID = re.compile(JOB_ID_PATTERN.strip("^$"))


@dataclass(frozen=True, slots=True)
class Rejection:
    """A record that can never become a job."""

    job_id: str
    error: ErrorFacts


class _Refused(Exception):
    """Why, and the details for the event."""

    def __init__(self, message: str, **detail: Any) -> None:
        super().__init__(message)
        self.detail = detail


def admit(record: Record) -> Job | Rejection:
    """Read a record of the request or retry topic. Never raises."""
    data: Any = None
    try:
        unread = record.header(delivery.UNREAD)
        if unread is not None:
            raise _Refused(unread, limit=MOST_BYTES)
        data = _parse(record.value)
        request = _validate(data)
        generation = _generation(record)
    except _Refused as refused:
        fault = Fault.of(ErrorCode.INVALID_REQUEST, Stage.ADMIT, str(refused), **refused.detail)
        return Rejection(_job_id_of(record, data), fault.error)
    return Job(
        record=record,
        job_id=choose_job_id(
            request, _named(record), record.topic, record.partition, record.offset
        ),
        request=request,
        generation=generation,
        replay_of=record.header(delivery.REPLAY_OF),
        traceparent=record.header("traceparent"),
    )


def read_object(value: bytes) -> dict[str, Any]:
    """A JSON object, as strictly as that of a record is read.

    Raises:
        Fault: INVALID_REQUEST, with the rule.
    """
    try:
        return _parse(value)
    except _Refused as refused:
        text = str(refused)
        raise Fault.of(ErrorCode.INVALID_REQUEST, Stage.ADMIT, text, **refused.detail) from None


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
        raise _Refused(
            f"header {delivery.GENERATION} = {_show(text)} must be 0 to {MAX_GENERATION}",
            field=delivery.GENERATION,
            value=_show(text),
            limit=MAX_GENERATION,
        )
    return number


def _parse(value: bytes | None) -> dict[str, Any]:
    if not value:
        raise _Refused("the record has no value; it must be a JSON object with the request")
    if len(value) > MAX_BYTES:
        raise _Refused(
            f"the value has {len(value)} bytes; at most {MAX_BYTES} are read",
            bytes=len(value),
            limit=MAX_BYTES,
        )
    if value.count(b",") > MAX_VALUES:
        raise _Refused(f"the value holds more than {MAX_VALUES} commas", limit=MAX_VALUES)
    try:
        text = value.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        raise _Refused(
            f"the value is not valid UTF-8: byte 0x{value[error.start]:02x} at {error.start}",
            position=error.start,
        ) from None
    data = _loads(text)
    if not isinstance(data, dict):
        raise _Refused(f"the value is a JSON {type(data).__name__}; it must be an object")
    _walk(data)
    return data


def _loads(text: str) -> Any:
    try:
        return json.loads(text, object_pairs_hook=_no_duplicates, parse_constant=_no_constant)
    except RecursionError:
        raise _Refused(
            f"the value is nested deeper than {MAX_DEPTH} levels", limit=MAX_DEPTH
        ) from None
    except json.JSONDecodeError as error:
        raise _Refused(
            f"the value is not JSON: {error.msg} at line {error.lineno}, column {error.colno}",
            position=error.pos,
        ) from None
    except ValueError as error:  # Python's own bound on the digits of an integer
        raise _Refused(f"the value holds a number that is not usable: {error}") from None


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        twice, times = Counter(name for name, _ in pairs).most_common(1)[0]
        raise _Refused(
            f"field {_show(twice)} is given {times} times; give it once", field=_show(twice)
        )
    return found


def _no_constant(name: str) -> NoReturn:
    raise _Refused(f"{name} is not a number in JSON", value=name)


def _walk(data: dict[str, Any]) -> None:
    """Refuse what would break later: depth, NUL, lone surrogates, huge or infinite numbers."""
    level: list[Any] = [data]
    for _ in range(MAX_DEPTH):
        below: list[Any] = []
        for value in level:
            if isinstance(value, dict):
                below.extend(value.keys())
                below.extend(value.values())
            elif isinstance(value, list):
                below.extend(value)
            else:
                _check_scalar(value)
        if not below:
            return
        level = below
    raise _Refused(f"the value is nested deeper than {MAX_DEPTH} levels", limit=MAX_DEPTH)


def _check_scalar(value: Any) -> None:
    if isinstance(value, str):
        if "\0" in value:
            raise _Refused(f"the text {_show(value)} holds a NUL character; remove it")
        if not value.isascii() and any("\ud800" <= c <= "\udfff" for c in value):
            raise _Refused(f"the text {_show(value)} holds half of a surrogate pair")
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise _Refused("a number is too large for a double", value=str(value))
    elif isinstance(value, int) and value.bit_length() > MAX_INTEGER_BITS:
        raise _Refused(
            f"an integer of {value.bit_length()} bits; at most {MAX_INTEGER_BITS} are read",
            limit=MAX_INTEGER_BITS,
        )


def _validate(data: dict[str, Any]) -> RenderRequest:
    try:
        return RenderRequest.model_validate(data)
    except ValidationError as error:
        found = error.errors(include_url=False, include_context=False)
        lines = [_explain(line) for line in found[:MAX_SHOWN_ERRORS]]
        more = f" (and {len(found) - len(lines)} more)" if len(found) > len(lines) else ""
        raise _Refused(
            "; ".join(lines) + more,
            field=".".join(str(part) for part in found[0]["loc"]),
            fields=[".".join(str(part) for part in line["loc"]) for line in found[:20]],
        ) from None


def _explain(line: Any) -> str:
    field = ".".join(str(part) for part in line["loc"])[:MAX_SHOWN] or "request"
    said = str(line["msg"]).removeprefix("Value error, ")
    if line["type"] == "missing":
        return f"field {field!r} is missing"
    return f"field {field!r} = {_show(line['input'])}: {said}"


def _show(value: Any) -> str:
    """A value for people: short, one line, and without the query of a URL, which may be signed."""
    if isinstance(value, str):
        value = value[: 4 * MAX_SHOWN]
        if "://" in value:
            value = value.split("?", 1)[0]
        shown = ascii(value)
    elif isinstance(value, dict | list):
        shown = f"{type(value).__name__} of {len(value)}"
    else:
        shown = repr(value)
    return shown if len(shown) <= MAX_SHOWN else shown[: MAX_SHOWN - 3] + "..."
