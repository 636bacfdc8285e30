"""Points on disk come back as they went, and leave nothing behind."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch

from pipeline.faces.point_store import PointStore


def test_rows_come_back_in_any_order_from_any_thread(tmp_path: Path) -> None:
    torch.manual_seed(0)
    points = torch.randn(90, 478, 3)
    store = PointStore(tmp_path)
    store.write(40, points[40:])
    store.write(0, points[:40])

    def read(start: int) -> bool:
        return torch.equal(store.read(start, start + 7), points[start : start + 7])

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(read, range(80)))
    assert store.read(5, 5).shape == (0, 478, 3)


def test_rows_never_written_are_zeros(tmp_path: Path) -> None:
    store = PointStore(tmp_path)
    store.write(3, torch.ones(1, 478, 3))
    assert float(store.read(0, 3).abs().max()) == 0
    assert float(store.read(2, 9)[2:].abs().max()) == 0


def test_the_file_has_no_name_to_be_left_behind(tmp_path: Path) -> None:
    store = PointStore(tmp_path)
    store.write(0, torch.ones(2, 478, 3))
    assert list(tmp_path.iterdir()) == []
    store.close()
