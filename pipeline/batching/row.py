"""What a device has made, or is still making: rows of batches, and how to come by their numbers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a batch."""

    batch: Tensor
    """(n, ...) on the device; complete once `done` is reached."""
    index: int
    done: torch.cuda.Event | None = None
    """None: it is complete."""


def gather(rows: Sequence[Row]) -> Tensor:
    """Rows as one tensor, (len(rows), ...), in order, on their device.

    On a GPU the current stream waits for what is not complete yet, the caller does not. The rows'
    memory stays theirs until that stream has come so far, whoever lets go of them before.
    """
    done = {id(row.done): (row.done, row.batch) for row in rows if row.done is not None}
    for event, batch in done.values():
        stream = torch.cuda.current_stream(batch.device)
        stream.wait_event(event)
        batch.record_stream(stream)  # it was made on another, which would use it again
    runs = [rows[start].batch[rows[start].index :][: stop - start] for start, stop in _runs(rows)]
    return runs[0] if len(runs) == 1 else torch.cat(runs)


def _runs(rows: Sequence[Row]) -> Iterator[tuple[int, int]]:
    """Stretches of rows that follow each other in one batch."""
    edges = [0]
    for n in range(1, len(rows)):
        before, here = rows[n - 1], rows[n]
        if here.batch is not before.batch or here.index != before.index + 1:
            edges.append(n)
    yield from pairwise([*edges, len(rows)])
