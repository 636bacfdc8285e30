"""A stand-in device is as busy as it is told to be, whoever asks."""

from __future__ import annotations

import threading

import torch

from pipeline.batching.row import Row
from pipeline.batching.runner import Column
from tests.bench.paced import Device, Paced

FAST = dict.fromkeys((1, 2, 4, 8), 1e4)


def test_pieces_of_work_follow_each_other_whoever_asks() -> None:
    device = Device()
    asked = [threading.Thread(target=device.work, args=(0.01, 1, 1)) for _ in range(8)]
    for each in asked:
        each.start()
    for each in asked:
        each.join()
    assert len(device.worked) == 8
    for (_, end), (start, _) in zip(device.worked, device.worked[1:], strict=False):
        assert start >= end


def test_busy_is_the_share_between_two_moments() -> None:
    device = Device()
    device.worked += [(10.0, 11.0), (12.0, 13.0)]
    assert device.busy(10.0, 14.0) == 0.5
    assert device.busy(10.5, 12.5) == 0.5
    assert device.idle() == [(11.0, 12.0)]


def test_a_batch_is_what_the_network_makes_and_takes_the_place_of_its_size() -> None:
    device = Device()
    runner = Paced(device, lambda x: x * 2, [Column((3,), torch.float32)], (4, 8), FAST)
    rows = torch.arange(15.0).view(5, 3)
    made: list[Row] = runner([list(rows)])
    assert [row.index for row in made] == [0, 1, 2, 3, 4]
    assert torch.equal(made[0].batch, rows * 2)
    assert (device.rows, device.places) == (5, 8)
    assert made[0].done is not None
    assert made[0].done.at == device.worked[-1][1]  # type: ignore[attr-defined]
