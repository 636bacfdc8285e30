"""What the groups of settings are made of: fields that know their name, and bounds for all.

A group (`consumer.settings.kafka` and its like) holds fields that belong together, with the checks
that need no other group. `consumer.settings` makes the whole of them; alone a group is not read.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_settings import NoDecode

MOST_S = 1e9
"""Some 30 years: with more, dates and timers overflow in the middle of the work."""
MOST_BYTES = 2**50


class Group(BaseModel):
    """Settings that belong together."""

    model_config = ConfigDict(
        frozen=True,
        populate_by_name=True,
        defer_build=True,  # only the whole is ever made, and building each costs the start
    )


def env(name: str, default: Any, text: str, **limits: Any) -> Any:
    """A field that the environment sets under this name; the text stands in docs/operations.md."""
    return Field(default, validation_alias=name, description=text, **limits)


def split(value: Any) -> Any:
    """The parts of a comma-separated text."""
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return value


def auto(value: Any) -> Any:
    """None for `auto`: chosen at start, by what is there."""
    return None if value == "auto" else value


def given(check: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """The check for a field that may be left out."""
    return lambda value: None if value is None else check(value)


Names = Annotated[tuple[str, ...], NoDecode, BeforeValidator(split)]
