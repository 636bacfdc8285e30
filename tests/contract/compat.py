"""Finds what a new JSON Schema breaks for those who speak the old one.

Two directions. *Taken* contracts (request, control) are written by others: what was valid must
stay valid. *Given* contracts (events, manifest) are read by others: what they were promised must
stay there. Both: nothing is removed or changes its type.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

Schema = dict[str, Any]
Direction = Literal["taken", "given"]

_UPPER = ("maximum", "maxLength", "maxItems", "maxProperties", "exclusiveMaximum")
_LOWER = ("minimum", "minLength", "minItems", "minProperties", "exclusiveMinimum")


def breaks(old: Schema, new: Schema, direction: Direction) -> list[str]:
    """One line for each break, by the path of the field; empty when compatible."""
    return list(_compare(old, new, _Roots(old, new, direction), "$"))


class _Roots:
    def __init__(self, old: Schema, new: Schema, direction: Direction) -> None:
        self.old, self.new, self.direction = old, new, direction


def _resolve(node: Schema, root: Schema) -> Schema:
    while "$ref" in node:
        target: Any = root
        for part in node["$ref"].removeprefix("#/").split("/"):
            target = target[part]
        node = {**target, **{k: v for k, v in node.items() if k != "$ref"}}
    return node


def _kinds(node: Schema, root: Schema) -> dict[str, Schema]:
    """The alternatives of a field by their JSON type."""
    node = _resolve(node, root)
    if "anyOf" in node:
        kinds: dict[str, Schema] = {}
        for branch in node["anyOf"]:
            kinds.update(_kinds(branch, root))
        return kinds
    return {str(node.get("type", "any")): node}


def _compare(old: Schema, new: Schema, roots: _Roots, path: str) -> Iterator[str]:
    before, after = _kinds(old, roots.old), _kinds(new, roots.new)
    if "any" not in after:
        for kind in before.keys() - after.keys():
            yield f"{path}: may no longer be {kind}"
    if roots.direction == "given" and "any" not in before:
        for kind in after.keys() - before.keys() - {"null"}:
            yield f"{path}: readers of v1 do not expect {kind}"
    for kind in before.keys() & after.keys():
        yield from _compare_kind(before[kind], after[kind], roots, path)


def _compare_kind(old: Schema, new: Schema, roots: _Roots, path: str) -> Iterator[str]:
    yield from _values(old, new, path)
    if roots.direction == "taken":
        yield from _limits(old, new, path)
    yield from _required(old, new, roots.direction, path)
    news = new.get("properties", {})
    for name, field in old.get("properties", {}).items():
        if name not in news:
            yield f"{path}.{name}: removed"
        else:
            yield from _compare(field, news[name], roots, f"{path}.{name}")
    for key in ("items", "additionalProperties"):
        if isinstance(old.get(key), dict) and isinstance(new.get(key), dict):
            yield from _compare(old[key], new[key], roots, f"{path}[]")


def _values(old: Schema, new: Schema, path: str) -> Iterator[str]:
    """What happened to a list of values; one that became open keeps those it had as examples."""
    before = set(old.get("enum", [old["const"]] if "const" in old else []))
    after = set(new.get("enum", [new["const"]] if "const" in new else []))
    known = after or new.get("examples", [])
    for gone in sorted(str(value) for value in before if value not in known):
        yield f"{path}: value {gone!r} removed"
    if after and not before:
        yield f"{path}: now limited to {sorted(map(str, after))}"


def _limits(old: Schema, new: Schema, path: str) -> Iterator[str]:
    for key in _UPPER:
        if key in new and new[key] < old.get(key, float("inf")):
            yield f"{path}: {key} narrowed to {new[key]}"
    for key in _LOWER:
        if key in new and new[key] > old.get(key, float("-inf")):
            yield f"{path}: {key} narrowed to {new[key]}"
    if "pattern" in new and new["pattern"] != old.get("pattern"):
        yield f"{path}: pattern changed"


def _required(old: Schema, new: Schema, direction: Direction, path: str) -> Iterator[str]:
    before, after = set(old.get("required", [])), set(new.get("required", []))
    if direction == "taken":
        for name in sorted(after - before):
            yield f"{path}.{name}: newly required"
    else:
        for name in sorted(before - after):
            yield f"{path}.{name}: no longer always there"
