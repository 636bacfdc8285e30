"""Objects come back from their parts as they were, and what does not fit is refused by name."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import pytest
import torch
from torch import Tensor

from pipeline.avatars.parts import Parts, Unfit, pack, unpack
from pipeline.rows import RowFile


@dataclass(frozen=True, slots=True)
class Inner:
    values: Tensor
    share: float
    name: str


@dataclass(frozen=True, slots=True)
class Outer:
    given: object
    inner: Inner
    other: Inner | None
    none: Tensor | None
    mode: Literal["a", "b"]
    count: int
    sure: bool
    fps: Fraction
    size: tuple[int, int]
    rows: RowFile


def outer(folder: Path) -> Outer:
    rows = RowFile.nameless(folder, (3,), torch.float32)
    rows.write(0, torch.arange(6.0).view(2, 3))
    inner = Inner(torch.arange(12.0).view(3, 4).T, 0.1, "n")
    size = (4, 2)
    return Outer(object(), inner, None, None, "b", 3, True, Fraction(30000, 1001), size, rows)


def test_everything_comes_back_and_tensors_are_contiguous(tmp_path: Path) -> None:
    before = outer(tmp_path)
    after = unpack(Outer, pack(before, skip=["given"]), "cpu", {"given": before.given})
    assert replace(after, inner=before.inner) == before
    assert torch.equal(after.inner.values, before.inner.values)
    assert after.inner.values.is_contiguous()
    assert not before.inner.values.is_contiguous()
    assert (after.inner.share, after.inner.name) == (0.1, "n")


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("mode", "c"),
        ("count", "3"),
        ("sure", 1),
        ("count", True),
        ("inner.share", "x"),
        ("size", 4),
        ("fps", 25),
    ],
)
def test_a_value_of_another_kind_is_refused_by_name(path: str, value: Any, tmp_path: Path) -> None:
    parts = pack(outer(tmp_path), skip=["given"])
    parts.facts[path] = value
    with pytest.raises(Unfit, match=path):
        unpack(Outer, parts, "cpu", {"given": None})


@pytest.mark.parametrize("path", ["inner.values", "count", "inner.name", "rows"])
def test_a_missing_field_is_refused_by_name(path: str, tmp_path: Path) -> None:
    parts = pack(outer(tmp_path), skip=["given"])
    for kind in (parts.tensors, parts.facts, parts.rows):
        kind.pop(path, None)
    with pytest.raises(Unfit, match=path):
        unpack(Outer, parts, "cpu", {"given": None})


def test_what_cannot_be_kept_is_not_left_out_in_silence(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="given"):
        pack(outer(tmp_path))
    with pytest.raises(TypeError, match="share"):
        pack(Inner(torch.zeros(1), float("nan"), ""))


def test_the_digest_knows_names_shapes_types_and_bytes() -> None:
    base = {"a": torch.arange(4, dtype=torch.int32)}
    others = [
        {"b": base["a"]},
        {"a": base["a"].view(2, 2)},
        {"a": base["a"].view(torch.uint8)},
        {"a": base["a"] + 1},
        {},
    ]
    digests = {Parts(each).digest() for each in [base, *others]}
    assert len(digests) == 6
    assert Parts({"a": base["a"].clone()}).digest() == Parts(base).digest()
