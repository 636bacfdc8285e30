"""Rows in a file come back by number, in any order, from any part of it."""

from __future__ import annotations

import os
from pathlib import Path

import torch

from pipeline.rows import RowFile, bytes_of


def test_rows_come_back_by_number_and_in_chunks(tmp_path: Path) -> None:
    rows = RowFile.nameless(tmp_path, (300, 500), torch.float64)
    whole = torch.randn(9, 300, 500, dtype=torch.float64)
    rows.write(4, whole[4:])
    rows.write(0, whole[:4])
    assert len(rows) == 9
    assert torch.equal(rows[[8, 0, 8]], whole[[8, 0, 8]])
    assert torch.equal(rows[3], whole[3])
    assert rows[[]].shape == (0, 300, 500)
    chunks = list(rows.chunks())
    assert len(chunks) == 3
    assert torch.equal(torch.cat(chunks), whole)
    assert list(tmp_path.iterdir()) == []


def test_a_part_of_a_file_ends_where_its_rows_end(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(range(20)))
    rows = RowFile(os.open(path, os.O_RDONLY), (2,), torch.uint8, offset=6, count=3)
    assert rows.read(0, 5).tolist() == [[6, 7], [8, 9], [10, 11], [0, 0], [0, 0]]
    assert rows[[2]].tolist() == [[10, 11]]


def test_one_item_gives_its_bytes_whatever_the_step_of_what_it_was_cut_from() -> None:
    of_a_still = torch.arange(8.0).reshape(1, 8)[:, 3]
    assert of_a_still.stride() == (8,)
    assert bytes(bytes_of(of_a_still)) == bytes(bytes_of(torch.tensor([3.0])))
