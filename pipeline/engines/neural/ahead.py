"""Painting ahead of need: what a face shows depends on latents and speech alone, not on the frame.

So a job offers its faces to the shared painter some batches before their frames are decoded. The
device has work while the host decodes, mixes and encodes, and a job that runs alone still fills
whole batches.
"""

from __future__ import annotations

from collections.abc import Callable

from pipeline.batching.batcher import Lane
from pipeline.batching.cuda import settle
from pipeline.batching.row import Row
from pipeline.batching.shared import Item

Faces = Callable[[range], list[Item]]
"""What the network takes for those output frames of a range that are painted, in order."""


class Ahead:
    """The painted faces of one job, in order.

    Args:
        lane: to the painter; closed by `close`.
        reach: faces that are offered before they are needed.
    """

    def __init__(
        self,
        lane: Lane[Item, Row],
        faces: Faces,
        painted: Callable[[int], bool],
        frames: int,
        reach: int,
        device: str,
    ) -> None:
        self._lane = lane
        self._faces = faces
        self._painted = painted
        self._frames = frames
        self._reach = reach
        self._device = device
        self._offered = 0
        """Output frame from which on nothing was offered yet."""
        self._next = 0
        """Output frame whose face is the next one to take, or the first painted one after it."""

    def take(self, outputs: list[int]) -> list[Row]:
        """The faces of painted output frames, ascending, with no painted one left out between them.

        Raises:
            Exception: what painting them raised.
        """
        if any(self._painted(n) for n in range(self._next, outputs[0])) or outputs[0] < self._next:
            self._jump(outputs[0])
        self._next = outputs[-1] + 1
        self._offer(self._next)
        return [self._lane.take() for _ in outputs]

    def close(self) -> None:
        """Forget what was offered. Calling it again does nothing."""
        self._lane.close()

    def _jump(self, output: int) -> None:
        while self._lane.outstanding:
            self._lane.take()
        self._offered = output

    def _offer(self, needed: int) -> None:
        """Offer up to `needed`, and once half of the reach is used up, the reach beyond it."""
        while self._offered < self._frames and (
            self._offered < needed or self._lane.outstanding < self._reach // 2
        ):
            end = min(self._frames, max(needed, self._offered + max(1, self._reach // 2)))
            faces = self._faces(range(self._offered, end))
            settle(self._device)
            self._offered = end
            if faces:
                self._lane.submit(faces)
