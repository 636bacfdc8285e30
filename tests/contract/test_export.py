"""The exported files are what the code says, and what they refer to exists."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from schemas import export
from schemas.asyncapi import document
from schemas.envelope import EventType
from schemas.topics import Topics


def test_the_files_in_deploy_are_up_to_date() -> None:
    assert export.stale() == []


def test_check_names_what_is_out_of_date_and_what_is_left_over(tmp_path: Path) -> None:
    export.write(tmp_path)
    assert export.stale(tmp_path) == []
    (tmp_path / "schemas" / "request.v1.json").write_text("{}\n", encoding="utf-8")
    (tmp_path / "schemas" / "old.v0.json").write_text("{}\n", encoding="utf-8")
    diffs = "\n".join(export.stale(tmp_path))
    assert '+  "$id": "urn:face2face:request.v1",' in diffs
    assert "schemas/old.v0.json: no contract of this name any more" in diffs


def test_each_schema_has_the_id_that_its_events_carry_as_ce_dataschema() -> None:
    ids = {export.json_schema(name)["$id"] for name in export.CONTRACTS}
    events = {f"urn:face2face:{kind.value.removeprefix('com.face2face.')}" for kind in EventType}
    assert events <= ids


def _references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for child in node.values():
            yield from _references(child)
    elif isinstance(node, list):
        for child in node:
            yield from _references(child)


def test_every_reference_of_the_asyncapi_document_leads_somewhere() -> None:
    text = (export.ROOT / "asyncapi.yaml").read_text(encoding="utf-8")
    whole = yaml.safe_load(text)
    references = list(_references(whole))
    assert references
    for reference in references:
        if reference.startswith("#/"):
            node = whole
            for part in reference[2:].split("/"):
                node = node[part]
        else:
            assert (export.ROOT / reference).is_file(), reference


def test_the_asyncapi_document_names_every_topic() -> None:
    addresses = {channel["address"] for channel in document()["channels"].values()}
    assert addresses == set(Topics().all())
