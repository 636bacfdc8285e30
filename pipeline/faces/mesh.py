"""The 478-point mesh of a face from the picture inside its region.

Grishchenko et al., "Attention Mesh: High-fidelity Face Mesh Prediction in Real-time",
arXiv:2006.10962. Points 0-467 are the mesh, 468-472 and 473-477 the irises.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from pipeline.faces.appearance import sample
from pipeline.faces.crop import cut_out
from pipeline.faces.graph import Model
from pipeline.faces.halves import halves_on
from pipeline.faces.roi import to_frame
from pipeline.faces.shared import network_on
from pipeline.faces.white_balance import daylight
from pipeline.types import Color, Frame

POINTS = 478
_PLAIN = 468
_EYE_CONTOUR = 16
"""The first so many refined points of an eye are its outline."""
_PLAIN_NAME = "output_mesh_identity"
_REFINED = (
    *("output_lips", "output_left_eye", "output_right_eye"),
    *("output_left_iris", "output_right_iris"),
)


@dataclass(frozen=True, slots=True)
class Meshes:
    """Faces that were looked at, on the host."""

    points: Tensor
    """(N, 478, 3) pixels of the frame; depth on the same scale, smaller is nearer."""
    score: Tensor
    """(N,) how sure the network is that there is a face, 0 to 1."""
    colors: Tensor
    """(N, ROW, 3) uint8, see `pipeline.faces.appearance`."""

    @classmethod
    def joined(cls, parts: Sequence[Meshes]) -> Meshes:
        """Those of all parts, in order."""
        if len(parts) == 1:
            return parts[0]
        columns = zip(*((part.points, part.score, part.colors) for part in parts), strict=True)
        return cls(*(torch.cat(column) for column in columns))


class MeshNetwork:
    """Places the mesh.

    Args:
        threads: of the CPU, that may work on one batch.
    """

    def __init__(self, model: Model, device: str = "cpu", threads: int = 1) -> None:
        self._network = network_on(model, device)
        self._halves = halves_on(device, threads)
        # The model itself says which mesh points its refined lips and eyes replace, in order.
        subsets = [
            list(node.attributes["subset_idxs"])
            for node in model.graph.nodes
            if node.op == "Landmarks2TransformMatrix"
        ]
        lips, left, right = subsets
        device = self._network.device
        self._eyes = torch.tensor([left[:_EYE_CONTOUR], right[:_EYE_CONTOUR]], device=device)
        self._order = torch.tensor(_order(lips, left, right), device=device)

    def warm(self) -> None:
        """Do now what the first look would wait for."""
        self._network.warm()

    def __call__(self, frames: Sequence[Frame], regions: Tensor, color: Color) -> Meshes:
        """Look at one region, (N, 4) as in `pipeline.faces.roi`, in each frame."""
        look = partial(self._part, frames, regions, color)
        return Meshes.joined(self._halves.each(len(frames), look))

    def _part(self, frames: Sequence[Frame], regions: Tensor, color: Color, part: slice) -> Meshes:
        frames, regions, network = frames[part], regions[part], self._network
        pictures = cut_out(frames, regions, network.size, color)
        outputs = network(daylight(pictures))
        places = self._merged(outputs)
        points = to_frame((places / network.size).cpu(), regions)
        score = torch.sigmoid(outputs["conv_faceflag"][:, 0]).cpu()
        return Meshes(points, score, sample(pictures, places))

    def _merged(self, outputs: dict[str, Tensor]) -> Tensor:
        """(N, 478, 3) in pixels of the network's picture."""
        plain = outputs[_PLAIN_NAME].view(-1, _PLAIN, 3)
        depth = plain[:, self._eyes, 2].mean(2)
        flat = torch.cat([outputs[_PLAIN_NAME], *(outputs[name] for name in _REFINED), depth], 1)
        return flat.index_select(1, self._order).view(-1, POINTS, 3)


def _order(lips: list[int], left: list[int], right: list[int]) -> list[int]:
    """Where the (478, 3) values lie among the plain mesh, what is refined, and both irises' depth.

    Args:
        lips, left, right: the points of the plain mesh that are refined, in order.
    """
    order = list(range(3 * POINTS))
    place = 3 * _PLAIN
    irises = range(_PLAIN, _PLAIN + 5), range(_PLAIN + 5, POINTS)
    for points in (lips, left, right, *irises):
        for point in points:
            order[3 * point : 3 * point + 2] = place, place + 1
            place += 2
    for number, iris in enumerate(irises):
        for point in iris:
            order[3 * point + 2] = place + number
    return order
