"""The executor computes what the graph says, whatever it folds together on the way."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from pipeline.faces.graph import Graph, Model, Node
from pipeline.faces.litert import LiteNetwork
from pipeline.faces.network import Network
from pipeline.weights import FaceModels

KINDS = pytest.mark.parametrize("kind", [Network, LiteNetwork])
"""What torch runs alone, and what runs on processors."""


def model(nodes: list[Node], shapes: dict[str, list[int]], weights: dict[str, Tensor]) -> Model:
    graph = Graph(
        name="test", input="x", outputs={"out": nodes[-1].output}, nodes=nodes, shapes=shapes
    )
    return Model(graph, weights)


def convolved(x: Tensor, weight: Tensor, bias: Tensor, stride: int, depthwise: bool) -> Tensor:
    """A convolution with TensorFlow's SAME padding, one output value at a time. NHWC."""
    size, out = weight.shape[1], math.ceil(x.shape[1] / stride)
    total = max((out - 1) * stride + size - x.shape[1], 0)
    padded = torch.nn.functional.pad(x, (0, 0, total // 2, total, total // 2, total))
    result = torch.zeros(x.shape[0], out, out, bias.shape[0])
    for row in range(out):
        for column in range(out):
            top, left = row * stride, column * stride
            patch = padded[:, top : top + size, left : left + size]
            if depthwise:
                result[:, row, column] = (patch * weight).sum((1, 2)) + bias
            else:
                result[:, row, column] = torch.einsum("nhwc,ohwc->no", patch, weight) + bias
    return result


@pytest.mark.parametrize("side", [6, 7])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("depthwise", [False, True])
@KINDS
def test_padding_is_tensorflows(
    kind: type[Network], side: int, stride: int, depthwise: bool
) -> None:
    torch.manual_seed(0)
    x = torch.randn(2, side, side, 4)
    weight = torch.randn(1, 3, 3, 4) if depthwise else torch.randn(5, 3, 3, 4)
    bias = torch.randn(4 if depthwise else 5)
    op = "DEPTHWISE_CONV_2D" if depthwise else "CONV_2D"
    node = Node(
        op=op, inputs=["x", "w", "b"], output="y", attributes={"stride": stride, "same": True}
    )
    out = math.ceil(side / stride)
    flat = Node(
        op="RESHAPE", inputs=["y"], output="z", attributes={"shape": [out * out, len(bias)]}
    )
    shapes = {"x": [1, side, side, 4], "y": [1, out, out, len(bias)]}
    network = kind(model([node, flat], shapes, {"w": weight, "b": bias}))
    found = network(x.permute(0, 3, 1, 2))["out"].view(2, out, out, -1)
    torch.testing.assert_close(
        found, convolved(x, weight, bias, stride, depthwise), atol=1e-4, rtol=1e-4
    )


@KINDS
def test_a_block_with_a_widened_shortcut_is_summed_and_activated(kind: type[Network]) -> None:
    torch.manual_seed(1)
    x = torch.randn(3, 4, 4, 2)
    weights = {
        "w": torch.randn(3, 1, 1, 2),
        "b": torch.randn(3),
        "s": torch.tensor([0.1, 0.5, 2.0]),
    }
    nodes = [
        Node(op="PAD", inputs=["x"], output="p", attributes={"channels": 1}),
        Node(
            op="CONV_2D",
            inputs=["x", "w", "b"],
            output="c",
            attributes={"stride": 1, "same": False},
        ),
        Node(op="ADD", inputs=["p", "c"], output="a"),
        Node(op="PRELU", inputs=["a", "s"], output="r"),
        Node(op="MAX_POOL_2D", inputs=["r"], output="m"),
        Node(op="RESHAPE", inputs=["m"], output="f", attributes={"shape": [4, 3]}),
    ]
    shapes = {"x": [1, 4, 4, 2], "m": [1, 2, 2, 3]} | {name: [1, 4, 4, 3] for name in "pcar"}
    found = kind(model(nodes, shapes, weights))(x.permute(0, 3, 1, 2))["out"].view(3, 2, 2, 3)
    wide = torch.cat([x, torch.zeros(3, 4, 4, 1)], dim=3)
    total = wide + x @ weights["w"].view(3, 2).t() + weights["b"]
    active = torch.where(total > 0, total, total * weights["s"])
    expected = active.view(3, 2, 2, 2, 2, 3).amax((2, 4))
    torch.testing.assert_close(found, expected)


@KINDS
def test_unknown_operation_is_refused_when_the_graph_is_loaded(kind: type[Network]) -> None:
    with pytest.raises(ValueError, match="SOFTMAX"):
        kind(model([Node(op="SOFTMAX", inputs=["x"], output="y")], {"x": [1, 4, 4, 2]}, {}))


@pytest.mark.parametrize("name", ["detector", "mesh"])
def test_a_batch_gives_what_its_pictures_give_alone(face_models: FaceModels, name: str) -> None:
    network = Network(getattr(face_models, name))
    torch.manual_seed(2)
    pictures = torch.rand(3, 3, network.size, network.size)
    together: dict[str, Any] = network(pictures)
    for n in range(3):
        alone = network(pictures[n : n + 1])
        for key, values in together.items():
            torch.testing.assert_close(values[n], alone[key][0], atol=2e-3, rtol=1e-4)


@pytest.mark.gpu
def test_cuda_computes_what_the_cpu_computes(face_models: FaceModels) -> None:
    torch.manual_seed(3)
    pictures = torch.rand(4, 3, 192, 192)
    here = Network(face_models.mesh)(pictures)
    there = Network(face_models.mesh, "cuda")(pictures.cuda())
    for key, values in here.items():
        torch.testing.assert_close(there[key].cpu(), values, atol=0.2, rtol=1e-2)
