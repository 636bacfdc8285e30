"""The README's tables that follow from the code: settings, error codes, topics.

python -m consumer.readme_tables            write them into README.md
python -m consumer.readme_tables --check    exit code 1 when they are out of date
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from consumer.settings import Settings
from consumer.topics_file import default_path, read
from schemas.codes import ErrorCode, facts
from schemas.topics import Topics

README = Path(__file__).parents[1] / "README.md"
_DIFFERS = {"F2F_THREADS": "`auto`", "F2F_SLOTS": "`auto`"}
"""Defaults that follow from the machine, or are shown by a word."""


def settings_table() -> str:
    """Every setting with its default and meaning, in the order of the class."""
    rows = []
    for field in Settings.model_fields.values():
        name = str(field.validation_alias)
        rows.append((f"`{name}`", _DIFFERS.get(name) or _shown(field.default), field.description))
    return _table(("setting", "default", "meaning"), rows)


def codes_table() -> str:
    """Every error code, whether it is retried, and what to do."""
    rows = [
        (f"`{code.value}`", "yes" if facts(code).retryable else "no", facts(code).advice)
        for code in ErrorCode
    ]
    return _table(("code", "retried", "what to do"), rows)


def topics_table() -> str:
    """Every topic as `face2face topics apply` makes it."""
    wanted = read(default_path()).named(Topics().prefix)
    rows = [
        (f"`{name}`", topic.partitions, _time(int(topic.config["retention.ms"])))
        for name, topic in wanted.items()
    ]
    return _table(("topic", "partitions", "kept for"), rows)


TABLES = {"settings": settings_table, "codes": codes_table, "topics": topics_table}


def _shown(value: Any) -> str:
    if isinstance(value, SecretStr):
        value = value.get_secret_value()
    if isinstance(value, tuple):
        value = ",".join(f"{part:g}" if isinstance(part, float) else part for part in value)
    if isinstance(value, float):
        value = f"{value:g}"
    return f"`{value}`" if value not in (None, "") else ""


def _time(milliseconds: int) -> str:
    hours = milliseconds // 3_600_000
    return f"{hours // 24} d" if hours >= 24 else f"{hours} h"


def _table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def filled(text: str) -> str:
    """The text with each table between its markers made anew.

    Raises:
        ValueError: a marker pair is missing.
    """
    for name, table in TABLES.items():
        found = re.search(rf"<!-- {name} -->\n(.*?)\n<!-- /{name} -->", text, re.DOTALL)
        if found is None:
            raise ValueError(f"README.md has no <!-- {name} --> … <!-- /{name} -->")
        text = text[: found.start(1)] + table() + text[found.end(1) :]
    return text


def main(arguments: list[str]) -> int:
    """Write, or compare with `--check`."""
    if arguments not in ([], ["--check"]):
        sys.stderr.write(f"unknown argument {arguments[0]!r}; usage: readme_tables [--check]\n")
        return 2
    before = README.read_text(encoding="utf-8")
    after = filled(before)
    if arguments:
        if before != after:
            sys.stderr.write("README.md's tables are out of date: `make contracts`\n")
        return int(before != after)
    README.write_text(after, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
