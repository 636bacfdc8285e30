"""The 478-point mesh of a face from the picture inside its region.

Grishchenko et al., "Attention Mesh: High-fidelity Face Mesh Prediction in Real-time",
arXiv:2006.10962. Points 0-467 are the mesh, 468-472 and 473-477 the irises.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pipeline.faces.appearance import sample
from pipeline.faces.graph import Model
from pipeline.faces.roi import cut_out, to_frame
from pipeline.faces.shared import network_on
from pipeline.types import Color, Frame

POINTS = 478
_PLAIN = 468
_EYE_CONTOUR = 16
"""The first so many refined points of an eye are its outline."""


@dataclass(frozen=True, slots=True)
class Meshes:
    """Faces that were looked at, on the host."""

    points: Tensor
    """(N, 478, 3) pixels of the frame; depth on the same scale, smaller is nearer."""
    score: Tensor
    """(N,) how sure the network is that there is a face, 0 to 1."""
    colors: Tensor
    """(N, ROW, 3) uint8, see `pipeline.faces.appearance`."""


class MeshNetwork:
    """Places the mesh.

    Args:
        model: the pulled model.
        device: where it runs.
        threads: of the CPU, that may work on one batch.
    """

    def __init__(self, model: Model, device: str = "cpu", threads: int = 1) -> None:
        self._network = network_on(model, device, threads)
        # The model itself says which mesh points its refined lips and eyes replace, in order.
        subsets = [
            torch.tensor(node.attributes["subset_idxs"], device=self._network.device)
            for node in model.graph.nodes
            if node.op == "Landmarks2TransformMatrix"
        ]
        self._lips, self._left, self._right = subsets

    def __call__(self, frames: Sequence[Frame], regions: Tensor, color: Color) -> Meshes:
        """Look at one region in each frame.

        Args:
            frames: N frames.
            regions: (N, 4), see `pipeline.faces.roi`.
            color: how the planes are to be read.
        """
        network = self._network
        pictures = cut_out(frames, regions, network.size, color, network.device)
        outputs = network(pictures)
        places = self._merged(outputs)
        points = to_frame((places / network.size).cpu(), regions)
        score = torch.sigmoid(outputs["conv_faceflag"][:, 0]).cpu()
        return Meshes(points, score, sample(pictures, places))

    def _merged(self, outputs: dict[str, Tensor]) -> Tensor:
        """(N, 478, 3) in pixels of the network's picture."""
        plain = outputs["output_mesh_identity"].view(-1, _PLAIN, 3)
        merged = plain.new_empty(len(plain), POINTS, 3)
        merged[:, :_PLAIN] = plain
        for name, subset in (
            ("output_lips", self._lips),
            ("output_left_eye", self._left),
            ("output_right_eye", self._right),
        ):
            merged[:, subset, :2] = outputs[name].view(len(plain), -1, 2)
        for name, first, eye in (
            ("output_left_iris", _PLAIN, self._left),
            ("output_right_iris", _PLAIN + 5, self._right),
        ):
            merged[:, first : first + 5, :2] = outputs[name].view(len(plain), -1, 2)
            depth = plain[:, eye[:_EYE_CONTOUR], 2].mean(1, keepdim=True)
            merged[:, first : first + 5, 2] = depth
        return merged
