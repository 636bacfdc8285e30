"""Reads the settings from the environment, secrets from `*_FILE` too, and says what is wrong."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from consumer.json_findings import reason
from consumer.settings import Settings, SettingsError
from consumer.settings.checks import place

_MOST_SHOWN = 200
_LINE_END = "\r\n"
_AUTO = ("F2F_SLOTS", "F2F_THREADS")
_UNITS = {
    "_BYTES": "bytes",
    "_S": "seconds",
    "CLEANUP_DELAY": "seconds",
    "CLEANUP_INTERVAL": "seconds",
    "MAX_FILE_AGE": "seconds",
}
"""End of a name → what its number counts."""
_HIDDEN = ("SECRET", "PASSWORD", "API_KEY", "TOKEN")


def load(environ: Mapping[str, str] | None = None) -> Settings:
    """Read the settings.

    Every NAME may be given as NAME_FILE, whose content (without the last line's end) is the value;
    nor is the end of a line part of NAME, where a file of settings was written on another system.

    Raises:
        SettingsError: one line for each setting that cannot work.
    """
    source = dict(os.environ if environ is None else environ)
    values: dict[str, Any] = {}
    for field in Settings.model_fields.values():
        name = str(field.validation_alias)
        file = source.get(f"{name}_FILE")
        if file:
            values[name] = _read_secret(name, file)
        elif value := source.get(name, "").rstrip(_LINE_END):
            values[name] = value
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        raise SettingsError("\n".join(_explain(line) for line in error.errors())) from None


def _read_secret(name: str, file: str) -> str:
    path = Path(file)
    try:
        path = place(path)
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise SettingsError(f"{name}_FILE: {str(path)!r} is not UTF-8 text") from None
    except ValueError as error:  # of the path
        raise SettingsError(f"{name}_FILE = {file!r}: {error}") from None
    except OSError as error:
        raise SettingsError(f"{name}_FILE: cannot read {str(path)!r}: {error.strerror}") from None
    value = text.rstrip(_LINE_END)
    if not value:  # never as if it were not given: an empty key would let everybody in
        raise SettingsError(f"{name}_FILE: {str(path)!r} is empty; write the value into it")
    return value


def _explain(line: Any) -> str:
    name = ".".join(str(part) for part in line["loc"])
    text = reason(line)
    if not name:  # about several settings at once: the message names them
        return text
    shown = "(hidden)" if any(word in name for word in _HIDDEN) else _short(repr(line["input"]))
    if line["type"] in ("int_parsing", "float_parsing"):
        text = _number(name)
    return f"{name} = {shown}: {text}"


def _number(name: str) -> str:
    """What a setting asks for that is given something else than a number."""
    name = name.partition(".")[0]  # of a list it is one part's
    if name in _AUTO:
        return "must be auto or a whole number"
    unit = next((unit for end, unit in _UNITS.items() if name.endswith(end)), None)
    return f"must be a number of {unit}, without a unit" if unit else "must be a number"


def _short(text: str) -> str:
    return text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}... ({len(text)} characters)"
