"""Messages of every released version parse for ever, and nothing they say gets lost."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from schemas.export import CONTRACTS, json_schema

GOLDEN = Path(__file__).parent / "golden" / "v1"
MESSAGES = sorted(path.name for path in GOLDEN.glob("*.json"))
UNKNOWN_ON_PURPOSE = {"request.from-the-future.json"}
NUMBERS_BECOME_TEXT = {"request.number-fps.json"}
MAPS = {"metadata", "timings_ms", "inputs"}
"""Fields whose keys are not ours, or all of which the contract names."""


def _read(name: str) -> Any:
    return json.loads((GOLDEN / name).read_text(encoding="utf-8"))


def _contract(name: str) -> str:
    return f"{name.split('.')[0]}.v1"


def _lost(said: Any, kept: Any, path: str = "$") -> list[str]:
    """Paths of what the message says and the parsed contract does not say."""
    if isinstance(said, dict) and isinstance(kept, dict):
        return [
            line
            for key, value in said.items()
            for line in (
                _lost(value, kept[key], f"{path}.{key}") if key in kept else [f"{path}.{key}"]
            )
        ]
    if isinstance(said, list) and isinstance(kept, list) and len(said) == len(kept):
        pairs = enumerate(zip(said, kept, strict=True))
        return [line for n, (a, b) in pairs for line in _lost(a, b, f"{path}[{n}]")]
    return [] if said == kept else [f"{path}: {said!r} became {kept!r}"]


def test_every_contract_has_a_golden_message() -> None:
    assert {_contract(name) for name in MESSAGES} == set(CONTRACTS)


@pytest.mark.parametrize("name", MESSAGES)
def test_a_released_message_parses_and_keeps_every_word(name: str) -> None:
    said = _read(name)
    parsed = CONTRACTS[_contract(name)].model_validate(said)
    lost = _lost(said, parsed.model_dump(mode="json"))
    if name in UNKNOWN_ON_PURPOSE:
        assert sorted(lost) == ["$.options.hdr", "$.output.acl", "$.priority"]
    elif name in NUMBERS_BECOME_TEXT:
        assert lost == ["$.options.fps: 29.97 became '29.97'"]
    else:
        assert lost == []


@pytest.mark.parametrize("name", MESSAGES)
def test_a_released_message_is_valid_by_the_exported_schema(name: str) -> None:
    schema = json_schema(_contract(name))
    Draft202012Validator.check_schema(schema)
    Draft202012Validator(schema).validate(_read(name))


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"audio_url": None}, "audio_url"),
        ({"video_url": "ftp://x/y"}, "video_url"),
        ({"job_id": "a b"}, "job_id"),
        ({"engine": "VISEME"}, "engine"),
        ({"options": {"loop": "bounce"}}, "loop"),
        ({"options": {"crf": 99}}, "crf"),
        ({"options": {"fps": "0"}}, "fps"),
        ({"options": {"fps": "fast"}}, "fps"),
        ({"deadline": "2026-01-01T00:00:00"}, "deadline"),
        ({"metadata": {"a": 1}}, "metadata"),
        ({"output": {"prefix": "../x"}}, "prefix"),
    ],
)
def test_an_unknown_value_is_refused_by_the_name_of_its_field(
    change: dict[str, Any], field: str
) -> None:
    with pytest.raises(ValueError, match=field):
        CONTRACTS["request.v1"].model_validate({**_read("request.minimal.json"), **change})


@pytest.mark.parametrize("name", [name for name in MESSAGES if not name.startswith("request.")])
def test_what_a_later_release_says_is_read_with_its_new_codes_and_fields(name: str) -> None:
    """Two releases share records during an upgrade, and after one that was taken back."""
    said = _of_a_later_release(_read(name))
    parsed = CONTRACTS[_contract(name)].model_validate_json(json.dumps(said))
    lost = _lost(said, parsed.model_dump(mode="json"))
    assert all(line.endswith(".from_a_later_release") for line in lost), lost


def _of_a_later_release(said: Any, name: str = "") -> Any:
    """The message with values and fields that this release does not know."""
    if isinstance(said, list):
        return [_of_a_later_release(each) for each in said]
    if not isinstance(said, dict):
        return said
    more = {key: _of_a_later_release(value, key) for key, value in said.items()}
    if "code" in said:
        more |= {"code": "VOICE_REFUSED", "stage": "listen"}
    if "start_frame" in said:
        more["kind"] = "turned_away"
    return more if name in MAPS else {**more, "from_a_later_release": [{"x": 1}]}
