"""Today's contracts break nothing that a released version promised; and the check can see it."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from schemas.export import CONTRACTS, json_schema
from tests.contract.compat import Direction, Schema, breaks

RELEASED = Path(__file__).parent / "released" / "v1"
GOLDEN = Path(__file__).parent / "golden" / "v1"
TAKEN = {"request.v1", "control.v1"}


def _released(name: str) -> Schema:
    found: Schema = json.loads((RELEASED / f"{name}.json").read_text(encoding="utf-8"))
    return found


def _direction(name: str) -> Direction:
    return "taken" if name in TAKEN else "given"


def test_every_released_contract_still_exists() -> None:
    assert {path.stem for path in RELEASED.glob("*.json")} <= set(CONTRACTS)


@pytest.mark.parametrize("name", sorted(path.stem for path in RELEASED.glob("*.json")))
def test_a_contract_breaks_nothing_that_was_released(name: str) -> None:
    assert breaks(_released(name), json_schema(name), _direction(name)) == []


def _changed(name: str, path: list[str], value: Any) -> Schema:
    schema = copy.deepcopy(_released(name))
    node: Any = schema
    for part in path[:-1]:
        node = node[part]
    if value is None:
        del node[path[-1]]
    else:
        node[path[-1]] = value
    return schema


@pytest.mark.parametrize(
    ("name", "path", "value", "found"),
    [
        ("request.v1", ["properties", "consent"], None, "$.consent: removed"),
        ("request.v1", ["required"], ["audio_url", "video_url", "engine"], "newly required"),
        ("request.v1", ["$defs", "Loop", "enum"], ["pingpong", "hold"], "'repeat' removed"),
        ("failed.v1", ["$defs", "ErrorCode", "enum"], None, "'NO_FACE' removed"),
        (
            "request.v1",
            ["$defs", "RenderOptions", "properties", "crf", "maximum"],
            30,
            "maximum narrowed",
        ),
        ("request.v1", ["properties", "audio_url", "pattern"], "^s3://", "pattern changed"),
        ("completed.v1", ["required"], ["job_id"], "$.media: no longer always there"),
        (
            "completed.v1",
            ["$defs", "MediaFacts", "properties", "frames", "type"],
            "string",
            "$.media.frames: may no longer be integer",
        ),
        ("failed.v1", ["$defs", "ErrorFacts", "properties", "detail"], None, "$.error.detail"),
    ],
)
def test_the_check_sees_a_break(name: str, path: list[str], value: Any, found: str) -> None:
    lines = breaks(_released(name), _changed(name, path, value), _direction(name))
    assert any(found in line for line in lines), lines


def test_the_check_sees_a_value_that_an_open_list_lost() -> None:
    today = json_schema("failed.v1")
    today["$defs"]["ErrorCode"]["examples"].remove("NO_FACE")
    assert breaks(_released("failed.v1"), today, "given") == [
        "$.error.code: value 'NO_FACE' removed"
    ]


@pytest.mark.parametrize("name", ["failed.v1", "completed.v1"])
def test_what_may_grow_is_no_closed_list_for_a_reader_who_checks_by_the_schema(name: str) -> None:
    event = json.loads((GOLDEN / f"{name.removesuffix('.v1')}.full.json").read_text("utf-8"))
    if name == "failed.v1":
        event["error"] |= {"code": "CODE_OF_TOMORROW", "stage": "stage_of_tomorrow"}
    else:
        event["spans"] = [{"kind": "kind_of_tomorrow", "start_frame": 0, "end_frame": 1}]
    jsonschema.Draft202012Validator(json_schema(name)).validate(event)
    CONTRACTS[name].model_validate(event)


@pytest.mark.parametrize(
    ("name", "path", "value"),
    [
        ("request.v1", ["properties", "priority"], {"type": "string"}),
        ("request.v1", ["$defs", "RenderOptions", "properties", "crf", "maximum"], 51),
        ("request.v1", ["required"], ["audio_url"]),
        ("completed.v1", ["properties", "thumbnail"], {"type": "string"}),
    ],
)
def test_the_check_lets_additions_pass(name: str, path: list[str], value: Any) -> None:
    assert breaks(_released(name), _changed(name, path, value), _direction(name)) == []
