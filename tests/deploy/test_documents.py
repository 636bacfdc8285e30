"""What the README says is so: its messages are valid, its tables and commands are the code's."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from consumer import cli, readme_tables
from consumer.console import BAD_INPUT, FAILED, OK, STOPPED
from schemas.export import CONTRACTS

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^```json (\S+)\n(.*?)^```", README, re.DOTALL | re.MULTILINE)


def test_every_message_of_the_topics_has_an_example() -> None:
    shown = {name for name, _ in EXAMPLES}
    assert shown == {name for name in CONTRACTS if name not in ("manifest.v1", "attempt.v1")}


@pytest.mark.parametrize(("name", "text"), EXAMPLES)
def test_an_example_is_valid_and_names_only_known_fields(name: str, text: str) -> None:
    value = json.loads(text)
    message = CONTRACTS[name].model_validate(value)
    known = message.model_dump(mode="json")
    assert not _unknown(value, known)


def _unknown(value: object, known: object) -> set[str]:
    """Fields of `value` that the contract ignored."""
    if isinstance(value, dict) and isinstance(known, dict):
        below = (_unknown(value[name], known[name]) for name in value if name in known)
        return {name for name in value if name not in known}.union(*below)
    return set()


def test_the_completed_example_shows_every_field_of_the_event() -> None:
    example = next(json.loads(text) for name, text in EXAMPLES if name == "completed.v1")
    assert set(example) == set(CONTRACTS["completed.v1"].model_fields)


def test_the_tables_are_the_code_s() -> None:
    assert readme_tables.filled(README) == README, "`make contracts` writes them anew"


def test_a_table_s_missing_marker_is_said() -> None:
    with pytest.raises(ValueError, match="settings"):
        readme_tables.filled(README.replace("<!-- settings -->", ""))


def test_every_command_is_explained() -> None:
    section = README.partition("## The command line")[2].partition("## Installing")[0]
    named = set(re.findall(r"^\| `([a-z]+)", section, re.MULTILINE))
    assert named == set(cli._COMMANDS)


def test_every_engine_is_explained() -> None:
    from pipeline.engines.registry import NAMES

    section = README.partition("## Engines")[2].partition("## Limits")[0]
    assert re.findall(r"^\| `([a-z0-9-]+)` \|", section, re.MULTILINE) == list(NAMES)


def test_the_exit_codes_are_the_code_s() -> None:
    section = README.partition("Exit\ncodes:")[2].partition("For scripts")[0]
    assert re.findall(r"^\| (\d+) \|", section, re.MULTILINE) == [
        str(code) for code in (OK, FAILED, BAD_INPUT, STOPPED)
    ]


def test_every_link_into_the_repository_leads_somewhere() -> None:
    for page in ROOT.glob("*.md"):
        links = re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8"))
        assert [link for link in links if not (ROOT / link).exists()] == [], page.name
