"""What the documents say is so: messages are valid, tables the code's, and links lead somewhere."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from prometheus_client import Counter, Gauge, Histogram

from consumer import cli, doc_tables, metrics
from consumer.http import gateway_metrics
from consumer.jobs import Record
from consumer.kafka import delivery
from consumer.kafka.copy_headers import dead_headers
from consumer.kafka.untrusted_json import MAX_DEPTH, MAX_INTEGER_BITS, MAX_VALUES
from consumer.local.console import BAD_INPUT, FAILED, OK, STOPPED
from pipeline.reading.open_errors import KINDS
from schemas.asyncapi import document
from schemas.codes import ErrorCode, Stage
from schemas.export import CONTRACTS, json_schema
from schemas.http import HttpCode
from schemas.refs import MAX_KEY_BYTES
from schemas.render import ErrorFacts
from schemas.request import RenderOptions, RenderRequest

ROOT = Path(__file__).parents[2]
README, CONTRACT, OPERATIONS, COMMANDS = (
    (ROOT / name).read_text(encoding="utf-8")
    for name in ("README.md", "docs/contract.md", "docs/operations.md", "docs/command-line.md")
)
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("deploy/**/*.md")])
EXAMPLES = re.findall(r"^```json (\S+)\n(.*?)^```", CONTRACT, re.DOTALL | re.MULTILINE)


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


def test_every_field_of_a_request_is_explained() -> None:
    section = CONTRACT.partition("\n## Request")[2].partition("\n## Progress")[0]
    rows = re.findall(r"^\| (`.*?) \|", section, re.MULTILINE)
    named = {name for row in rows for name in re.findall(r"`([a-z_.]+)`", row)}
    fields = {*RenderRequest.model_fields} - {"options", "output"}
    options = {f"options.{name}" for name in RenderOptions.model_fields}
    assert named == fields | options | {"output.bucket", "output.prefix"}


def test_every_limit_of_a_request_is_told() -> None:
    section = CONTRACT.partition("\n## Rules that hold")[2].partition("\n## Media")[0]
    told = {int(number.replace(",", "")) for number in re.findall(r"[0-9][0-9,]*", section)}
    limits = set(_limits(json_schema("request.v1")))
    assert {40, 128, 2048, 20_000} <= limits
    of_fps = {32}  # of its text: its value is told
    others = {MAX_KEY_BYTES, MAX_DEPTH, MAX_VALUES, MAX_INTEGER_BITS}
    assert (limits - of_fps) | others <= told


def _limits(schema: object) -> Iterator[int]:
    """Every bound that a schema sets."""
    if isinstance(schema, dict):
        for name in ("maximum", "minimum", "maxLength", "maxProperties"):
            if isinstance(schema.get(name), int):
                yield schema[name]
        for child in schema.values():
            yield from _limits(child)
    elif isinstance(schema, list):
        for child in schema:
            yield from _limits(child)


@pytest.mark.parametrize("name", ["completed.v1", "failed.v1", "progress.v1", "control.v1"])
def test_an_example_shows_every_field_of_its_event(name: str) -> None:
    example = next(json.loads(text) for found, text in EXAMPLES if found == name)
    assert set(example) == set(CONTRACTS[name].model_fields)


def test_every_header_of_a_dead_letter_is_told() -> None:
    record = Record("face2face.requests", 0, 0, None, b"", (), 0)
    error = ErrorFacts(code=ErrorCode.INTERNAL, stage=Stage.ADMIT, message="", retryable=False)
    made = {name for name, _ in dead_headers(record, "job", error, 0, datetime.now(UTC))}
    made |= {delivery.TRUNCATED, delivery.UNREAD}
    section = CONTRACT.partition("\n## Topics")[2].partition("\n## Error codes")[0]
    assert set(re.findall(r"`(f2f-[a-z-]+)`", section)) == made
    dead = document()["components"]["messages"]["dead"]
    assert set(dead["headers"]["properties"]) == made


def test_every_kind_of_file_that_is_read_is_named() -> None:
    section = CONTRACT.partition("\n## Media")[2].partition("\n## Progress")[0]
    assert " ".join(KINDS.split()) in " ".join(section.split())


def test_every_code_of_the_gateway_is_named() -> None:
    assert [code for code in HttpCode if f"`{code}`" not in CONTRACT] == []


@pytest.mark.parametrize("page", doc_tables.PAGES)
def test_the_tables_are_the_code_s(page: str) -> None:
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    assert doc_tables.filled(page, text) == text, "`make contracts` writes them anew"


def test_a_table_s_missing_marker_is_said() -> None:
    with pytest.raises(ValueError, match="settings"):
        doc_tables.filled("operations.md", OPERATIONS.replace("<!-- settings -->", ""))


def test_every_metric_is_explained() -> None:
    every = [*vars(metrics).values(), *vars(gateway_metrics).values()]
    names = {
        kind._name + ("_total" if isinstance(kind, Counter) else "")
        for kind in every
        if isinstance(kind, Counter | Gauge | Histogram)
    }
    section = OPERATIONS.partition("## Metrics and alerts")[2].partition("## Logs")[0]
    assert set(re.findall(r"`(face2face_[a-z_]+)", section)) == names


def test_every_command_is_explained() -> None:
    section = COMMANDS.partition("| command |")[2].partition("## Output and exit codes")[0]
    named = set(re.findall(r"^\| `([a-z]+)", section, re.MULTILINE))
    assert named == set(cli._COMMANDS)


def test_every_engine_is_explained() -> None:
    from pipeline.engines.registry import NAMES

    section = README.partition("## Engines")[2].partition("## Limits")[0]
    assert re.findall(r"^\| `([a-z0-9-]+)` \|", section, re.MULTILINE) == list(NAMES)


def test_the_exit_codes_are_the_code_s() -> None:
    section = COMMANDS.partition("## Output and exit codes")[2].partition("## For scripts")[0]
    assert re.findall(r"^\| (\d+) \|", section, re.MULTILINE) == [
        str(code) for code in (OK, FAILED, BAD_INPUT, STOPPED)
    ]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_into_the_repository_leads_somewhere(page: Path) -> None:
    text = _prose(page)
    wrong = []
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        if not target.exists() or (anchor and anchor not in _anchors(target)):
            wrong.append(link)
    assert wrong == []


@pytest.mark.parametrize(
    "page",
    [page for page in PAGES if page.name != "CHANGELOG.md"],  # which tells of what was
    ids=lambda page: str(page.relative_to(ROOT)),
)
def test_every_module_and_file_that_is_named_exists(page: Path) -> None:
    text = _prose(page)
    modules = re.findall(r"`((?:consumer|pipeline|schemas)(?:\.[a-z_0-9]+)+)`", text)
    files = re.findall(r"`((?:consumer|pipeline|schemas|tests|deploy|docs)/[\w/.-]+)`", text)
    assert [name for name in modules if not _is_there(name)] == []
    assert [name for name in files if not (ROOT / name).exists()] == []


def _is_there(name: str) -> bool:
    """Whether a dotted name is a module, a package, or a name inside a module."""
    place = ROOT.joinpath(*name.split("."))
    if place.is_dir() or place.with_suffix(".py").exists():
        return True
    module = place.parent.with_suffix(".py")
    return (
        module.exists() and re.search(rf"\b{place.name}\b", module.read_text("utf-8")) is not None
    )


def _prose(page: Path) -> str:
    return re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.M)


def _anchors(page: Path) -> set[str]:
    """Headings as GitHub names them in links."""
    heads = re.findall(r"^#+ (.+)$", _prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


def test_every_group_of_settings_begins_with_a_setting() -> None:
    row = re.compile(r"^\| \*\*(.+?)\*\* \|  \|  \|\n\| `([A-Z0-9_]+)`", re.MULTILINE)
    groups = row.findall(OPERATIONS)
    assert {name: group for group, name in groups} == doc_tables._GROUPS
