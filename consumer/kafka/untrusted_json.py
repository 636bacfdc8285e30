"""A JSON object out of bytes that nobody trusts: within milliseconds, or refused by name.

What is too large is not parsed; what is parsed is bounded in depth and count, names each field
once, and holds nothing that would break later.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from typing import Any, NoReturn

from consumer.faults import Fault
from consumer.json_findings import kind_of
from schemas.codes import ErrorCode, Stage
from schemas.refs import without_secrets

MAX_BYTES = 1024 * 1024
MAX_DEPTH = 64
MAX_VALUES = 20_000
"""Commas in the text: a bound on how many values there can be, far above any request.

Each costs Python about half a microsecond, and the loop that reads the topics waits meanwhile."""
MAX_INTEGER_BITS = 256
MAX_SHOWN = 120


class Refused(Exception):
    """Why, and the details for the event."""

    def __init__(self, message: str, **detail: Any) -> None:
        super().__init__(message)
        self.detail = detail


def read_object(value: bytes) -> dict[str, Any]:
    """A JSON object, as strictly as that of a record is read.

    Raises:
        Fault: INVALID_REQUEST, with the rule.
    """
    try:
        return parse(value)
    except Refused as refused:
        text = str(refused)
        raise Fault.of(ErrorCode.INVALID_REQUEST, Stage.ADMIT, text, **refused.detail) from None


def parse(value: bytes | None) -> dict[str, Any]:
    """The object.

    Raises:
        Refused: there is none, or it breaks a rule.
    """
    if not value:
        raise Refused("there is no value; it must be a JSON object")
    if len(value) > MAX_BYTES:
        raise Refused(
            f"the value has {len(value)} bytes; at most {MAX_BYTES} are read",
            bytes=len(value),
            limit=MAX_BYTES,
        )
    if value.count(b",") > MAX_VALUES:
        raise Refused(f"the value holds more than {MAX_VALUES} commas", limit=MAX_VALUES)
    try:
        text = value.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        raise Refused(
            f"the value is not valid UTF-8: byte 0x{value[error.start]:02x} at {error.start}",
            position=error.start,
        ) from None
    data = _loads(text)
    if not isinstance(data, dict):
        raise Refused(f"the value is a JSON {kind_of(data)}; it must be an object")
    _walk(data)
    return data


def _loads(text: str) -> Any:
    try:
        return json.loads(text, object_pairs_hook=_no_duplicates, parse_constant=_no_constant)
    except RecursionError:
        raise Refused(
            f"the value is nested deeper than {MAX_DEPTH} levels", limit=MAX_DEPTH
        ) from None
    except json.JSONDecodeError as error:
        raise Refused(
            f"the value is not JSON: {error.msg} at line {error.lineno}, column {error.colno}",
            position=error.pos,
        ) from None
    except ValueError:  # Python's own bound on the digits of an integer
        text = f"a number has too many digits; at most {MAX_INTEGER_BITS} bits are read"
        raise Refused(text, limit=MAX_INTEGER_BITS) from None


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        twice, times = Counter(name for name, _ in pairs).most_common(1)[0]
        shown = show(twice)
        raise Refused(f"field {shown} is given {times} times; give it once", field=shown[1:-1])
    return found


def _no_constant(name: str) -> NoReturn:
    raise Refused(f"{name} is not a number in JSON", value=name)


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
    raise Refused(f"the value is nested deeper than {MAX_DEPTH} levels", limit=MAX_DEPTH)


def _check_scalar(value: Any) -> None:
    if isinstance(value, str):
        if "\0" in value:
            raise Refused(f"the text {show(value)} holds a NUL character; remove it")
        if not value.isascii() and any("\ud800" <= c <= "\udfff" for c in value):
            raise Refused(f"the text {show(value)} holds half of a surrogate pair")
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise Refused("a number is too large for a double", value=str(value))
    elif isinstance(value, int) and value.bit_length() > MAX_INTEGER_BITS:
        raise Refused(
            f"an integer of {value.bit_length()} bits; at most {MAX_INTEGER_BITS} are read",
            limit=MAX_INTEGER_BITS,
        )


def show(value: Any) -> str:
    """A value for people: short, one line, and of a URL nothing that may let others in."""
    if isinstance(value, str):
        value = value[: 4 * MAX_SHOWN]
        if "://" in value:
            value = without_secrets(value)
        shown = ascii(value)
    elif isinstance(value, dict | list):
        shown = f"{kind_of(value)} of {len(value)}"
    elif value is None or isinstance(value, bool):
        shown = json.dumps(value)
    else:
        shown = repr(value)
    return shown if len(shown) <= MAX_SHOWN else shown[: MAX_SHOWN - 3] + "..."
