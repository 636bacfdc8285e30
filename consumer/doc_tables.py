"""The tables of docs/ that follow from the code: settings, error codes, topics.

python -m consumer.doc_tables            write them into docs/operations.md and docs/contract.md
python -m consumer.doc_tables --check    exit code 1 when they are out of date
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from consumer.kafka.topics_file import default_path, read
from consumer.settings import Settings
from schemas.codes import ErrorCode, facts
from schemas.topics import Topics

DOCS = Path(__file__).parents[1] / "docs"
_DIFFERS = {"F2F_THREADS": "`auto`", "F2F_SLOTS": "`auto`"}
"""Defaults that follow from the machine, or are shown by a word."""


_GROUPS = {
    "KAFKA_BOOTSTRAP_SERVERS": "brokers",
    "S3_ENDPOINT": "store",
    "F2F_ENGINE": "work",
    "F2F_MAX_ATTEMPTS": "attempts and times",
    "F2F_MAX_INPUT_BYTES": "inputs",
    "F2F_AVATAR_BYTES": "prepared references",
    "F2F_LABEL_CONTAINER": "labels",
    "DUIX_DATA_DIR": "scratch and cleaning up",
    "DUIX_INTERNAL_URL": "the engine `duix`",
    "F2F_HTTP_HOST": "HTTP",
    "F2F_LOG_LEVEL": "logs and traces",
}
"""What the settings from each of these on are about."""


def settings_table() -> str:
    """Every setting with its default and meaning, in the order of the class, in groups."""
    rows: list[Sequence[Any]] = []
    for field in Settings.model_fields.values():
        name = str(field.validation_alias)
        if name in _GROUPS:
            rows.append((f"**{_GROUPS[name]}**", "", ""))
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


PAGES: dict[str, dict[str, Callable[[], str]]] = {
    "operations.md": {"settings": settings_table},
    "contract.md": {"topics": topics_table, "codes": codes_table},
}
"""The tables of each page, by the name of their markers."""


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


def filled(page: str, text: str) -> str:
    """The text of a page of `PAGES` with each table between its markers made anew.

    Raises:
        ValueError: a marker pair is missing.
    """
    for name, table in PAGES[page].items():
        found = re.search(rf"<!-- {name} -->\n(.*?)\n<!-- /{name} -->", text, re.DOTALL)
        if found is None:
            raise ValueError(f"docs/{page} has no <!-- {name} --> … <!-- /{name} -->")
        text = text[: found.start(1)] + table() + text[found.end(1) :]
    return text


def main(arguments: list[str]) -> int:
    """Write, or compare with `--check`."""
    if arguments not in ([], ["--check"]):
        sys.stderr.write(f"unknown argument {arguments[0]!r}; usage: doc_tables [--check]\n")
        return 2
    stale = False
    for page in PAGES:
        before = (DOCS / page).read_text(encoding="utf-8")
        after = filled(page, before)
        if arguments and before != after:
            sys.stderr.write(f"the tables of docs/{page} are out of date: `make contracts`\n")
            stale = True
        elif before != after:
            (DOCS / page).write_text(after, encoding="utf-8")
    return int(stale)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
