"""Faces are painted once, ahead of need, and each frame gets its own."""

from __future__ import annotations

import pytest
import torch

from pipeline.batching.batcher import Batcher
from pipeline.batching.row import Row
from pipeline.batching.shared import Item
from pipeline.engines.neural.ahead import Ahead

FRAMES = 40


class Job:
    """A job whose faces carry the numbers of their frames; the painter hands the number back."""

    def __init__(self, reach: int = 8, gone: frozenset[int] = frozenset()) -> None:
        self.asked: list[range] = []
        self.gone = gone
        self.batcher: Batcher[Item, Row] = Batcher(_paint, (4,), 0.001)
        lane = self.batcher.open()
        self.ahead = Ahead(lane, self._faces, self._painted, FRAMES, reach, "cpu")

    def _painted(self, output: int) -> bool:
        return output not in self.gone

    def _faces(self, outputs: range) -> list[Item]:
        self.asked.append(outputs)
        return [(torch.tensor(n), torch.tensor(n)) for n in outputs if self._painted(n)]

    def take(self, *outputs: int) -> list[int]:
        return [int(row.batch[row.index]) for row in self.ahead.take(list(outputs))]


def _paint(faces: list[Item]) -> list[Row]:
    batch = torch.stack([latents for latents, _ in faces])
    return [Row(batch, n) for n in range(len(faces))]


@pytest.fixture
def job() -> Job:
    return Job()


def test_each_frame_gets_its_own_face(job: Job) -> None:
    for start in range(0, FRAMES, 5):
        assert job.take(*range(start, start + 5)) == list(range(start, start + 5))
    job.ahead.close()


def test_faces_are_offered_once_and_before_they_are_needed(job: Job) -> None:
    job.take(0, 1)
    assert job.asked[-1].stop >= 4
    for start in range(2, FRAMES, 2):
        job.take(start, start + 1)
    offered = [n for outputs in job.asked for n in outputs]
    assert offered == list(range(FRAMES))
    job.ahead.close()


def test_frames_without_a_face_are_left_out() -> None:
    job = Job(gone=frozenset({0, 1, 5, 6, 7, 39}))
    assert job.take(2, 3) == [2, 3]
    assert job.take(4, 8, 9) == [4, 8, 9]
    assert job.take(*range(10, 39)) == list(range(10, 39))
    job.ahead.close()


def test_frames_out_of_turn_get_their_own_faces_too(job: Job) -> None:
    assert job.take(20, 21) == [20, 21]
    assert job.take(3) == [3]
    assert job.take(4, 5) == [4, 5]
    job.ahead.close()


def test_what_was_offered_is_forgotten_when_a_job_ends_early(job: Job) -> None:
    job.take(0)
    job.ahead.close()
    job.ahead.close()
    with pytest.raises(ValueError, match="closed"):
        job.take(30)
