"""Writes the contracts as files: JSON Schema 2020-12 and AsyncAPI 3.

python -m schemas.export            write deploy/schemas/*.json and deploy/asyncapi.yaml
python -m schemas.export --check    exit code 1 and a diff when they are out of date
"""

from __future__ import annotations

import difflib
import json
import sys
from pathlib import Path
from typing import Any

from schemas.asyncapi import document
from schemas.events import Completed, Control, Failed, Progress
from schemas.manifest import AttemptMarker, Manifest
from schemas.request import Contract, RenderRequest

ROOT = Path(__file__).parents[1] / "deploy"
DIALECT = "https://json-schema.org/draft/2020-12/schema"

CONTRACTS: dict[str, type[Contract]] = {
    "request.v1": RenderRequest,
    "completed.v1": Completed,
    "failed.v1": Failed,
    "progress.v1": Progress,
    "control.v1": Control,
    "manifest.v1": Manifest,
    "attempt.v1": AttemptMarker,
}
"""Every released contract by the name in its `$id`, which `ce_dataschema` of its events equals."""


def json_schema(name: str) -> dict[str, Any]:
    """The JSON Schema (2020-12) of one contract, as a reader of the message needs it."""
    model = CONTRACTS[name]
    schema = model.model_json_schema(mode="validation")
    _open(schema)
    title = schema.pop("title", model.__name__)
    return {"$schema": DIALECT, "$id": f"urn:face2face:{name}", "title": title, **schema}


def _open(node: Any) -> None:
    """Say aloud that unknown fields are allowed: they come with later versions."""
    if isinstance(node, dict):
        if "properties" in node and node.get("type") == "object":
            node.setdefault("additionalProperties", True)
        for child in node.values():
            _open(child)
    elif isinstance(node, list):
        for child in node:
            _open(child)


def files() -> dict[str, str]:
    """Every exported file: path under `deploy/` and its text."""
    made = {f"schemas/{name}.json": _json_text(json_schema(name)) for name in CONTRACTS}
    made["asyncapi.yaml"] = _yaml_text(document())
    return made


def _json_text(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def _yaml_text(value: Any) -> str:
    import yaml

    head = "# Made by `make contracts` from schemas/; do not edit by hand.\n"
    body: str = yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=100)
    return head + body


def stale(root: Path = ROOT) -> list[str]:
    """Unified diffs of the files under `root` that differ from what would be written."""
    diffs = []
    wanted = files()
    for path, text in wanted.items():
        file = root / path
        found = file.read_text(encoding="utf-8") if file.exists() else ""
        if found != text:
            lines = difflib.unified_diff(
                found.splitlines(), text.splitlines(), f"{path} (on disk)", path, lineterm="", n=1
            )
            diffs.append("\n".join(lines))
    diffs += [
        f"schemas/{file.name}: no contract of this name any more"
        for file in sorted((root / "schemas").glob("*.json"))
        if f"schemas/{file.name}" not in wanted
    ]
    return diffs


def write(root: Path = ROOT) -> None:
    """Write all files under `root`."""
    (root / "schemas").mkdir(parents=True, exist_ok=True)
    for path, text in files().items():
        (root / path).write_text(text, encoding="utf-8")


def main(arguments: list[str]) -> int:
    """Write, or compare with `--check`."""
    if arguments == ["--check"]:
        diffs = stale()
        if diffs:
            sys.stderr.write("\n".join(diffs) + "\ncontracts are out of date: `make contracts`\n")
        return 1 if diffs else 0
    if arguments:
        sys.stderr.write(f"unknown argument {arguments[0]!r}; usage: schemas.export [--check]\n")
        return 2
    write()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
