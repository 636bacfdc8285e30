"""A finding about a value that somebody wrote as JSON, in the words of JSON and not of Python."""

from __future__ import annotations

import re
from typing import Any

from pydantic import ValidationError

_TIME = "must be a time with an offset (RFC 3339), such as 2026-12-01T10:00:00Z"
_WORDS = {
    "string_type": "must be text",
    "dict_type": "must be an object",
    "model_type": "must be an object",
    "model_attributes_type": "must be an object",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "timezone_aware": _TIME,
}
"""Kind of finding (pydantic's) → what is asked."""
_SUBJECT = re.compile(r"^[A-Z][a-z]+ should ")
"""Whom pydantic speaks of: the field stands before it already."""
_KINDS = {
    type(None): "null",
    str: "string",
    bool: "boolean",
    int: "number",
    float: "number",
    list: "array",
    dict: "object",
}


def kind_of(value: object) -> str:
    """What JSON calls the kind of a value."""
    return _KINDS.get(type(value), "value")


def reason(finding: Any) -> str:
    """What one finding of a `ValidationError` asks of its value."""
    kind = str(finding["type"])
    if kind == "too_long":
        unit = "characters" if isinstance(finding["input"], str) else "entries"
        return f"must have at most {finding['ctx']['max_length']} {unit}"
    if kind.startswith("datetime"):
        return _TIME
    if kind == "missing":
        return "is missing"
    if kind == "extra_forbidden":
        return "is no name that is known here"
    said = str(finding["msg"]).removeprefix("Value error, ")
    return _WORDS.get(kind) or _SUBJECT.sub("must ", said)


def reasons(error: ValidationError) -> str:
    """All findings of a validation, each behind its path."""
    return "; ".join(
        f"{'.'.join(str(part) for part in finding['loc']) or 'the whole'} {reason(finding)}"
        for finding in error.errors(include_url=False)
    )
