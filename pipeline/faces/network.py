"""Run a frozen graph with torch: batched, float32, on the CPU and on CUDA by the same code.

The nodes are turned once into a flat list of closures. Pictures are (N, C, H, W) in torch's
channels-last layout, which makes a 1x1 convolution one matrix product and needs no copies between
layers. What the graph says in several nodes is one where torch has a way to say it: padding goes
into the convolution, a residual is added in place, and channels padded with zeros are not made.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 - torch's own abbreviation
from torch import Tensor

from pipeline.faces import custom_ops
from pipeline.faces.graph import Model, Node

Operation = Callable[..., Any]


@dataclass(frozen=True, slots=True)
class _Step:
    run: Operation
    inputs: tuple[int, ...]
    output: int
    dead: tuple[int, ...]
    """Registers that nothing reads any more: their memory is used again while it is in cache."""


class Network:
    """A graph that is ready to run.

    Args:
        parts: what runs its nodes `PART`, by number; each makes a list, of which `OF_PART` takes.
    """

    def __init__(self, model: Model, device: str = "cpu", parts: Sequence[Operation] = ()) -> None:
        compiler = _Compiler(model, device, parts)
        self._steps = compiler.steps()
        self._input = compiler.register(model.graph.input)
        self._outputs = {k: compiler.register(v) for k, v in model.graph.outputs.items()}
        self._registers = compiler.count
        self.device = device
        self.size = model.graph.shapes[model.graph.input][1]
        """Side of the square pictures that it takes."""

    def warm(self) -> None:
        """Do now what the first look would wait for: there is nothing."""

    @torch.inference_mode()
    def __call__(self, pictures: Tensor) -> dict[str, Tensor]:
        """Run a batch.

        Args:
            pictures: (N, 3, size, size) float32 on the network's device.

        Returns:
            Each output by its name, (N, values): what is not a list of values is one pixel.
        """
        values: list[Any] = [None] * self._registers
        values[self._input] = pictures
        for step in self._steps:
            values[step.output] = step.run(*[values[i] for i in step.inputs])
            for register in step.dead:
                values[register] = None
        return {name: values[i].flatten(1) for name, i in self._outputs.items()}


class _Compiler:
    """From nodes to steps."""

    def __init__(self, model: Model, device: str, parts: Sequence[Operation]) -> None:
        self._graph = model.graph
        self._device = device
        self._parts = parts
        self._weights = {k: v.to(device).float() for k, v in model.weights.items()}
        self._uses = Counter(name for node in model.graph.nodes for name in node.inputs)
        self._maker = {node.output: node for node in model.graph.nodes}
        self._registers: dict[str, int] = {}

    @property
    def count(self) -> int:
        return len(self._registers)

    def register(self, name: str) -> int:
        return self._registers.setdefault(name, len(self._registers))

    def steps(self) -> list[_Step]:
        parts = [self._operation(node) for node in self._graph.nodes]
        last = {name: n for n, (_, names) in enumerate(parts) for name in names}
        keep = set(self._graph.outputs.values())
        steps: list[_Step] = []
        for n, (run, names) in enumerate(parts):
            dead = {name for name in names if last[name] == n and name not in keep}
            steps.append(
                _Step(
                    run,
                    tuple(self.register(name) for name in names),
                    self.register(self._graph.nodes[n].output),
                    tuple(self.register(name) for name in dead),
                )
            )
        return steps

    def _operation(self, node: Node) -> tuple[Operation, list[str]]:
        """What a node runs, and the tensors that it reads."""
        x = node.inputs[:1]
        match node.op:
            case "CONV_2D" | "DEPTHWISE_CONV_2D":
                return self._convolution(node), x
            case "PRELU":
                slope = self._weights[node.inputs[1]].reshape(-1)
                return lambda a: torch.prelu(a, slope), x
            case "RELU":
                return torch.relu, x
            case "ADD":
                return self._add(node)
            case "MUL":
                factor = self._weights[node.inputs[1]]
                return lambda a: a * factor, x
            case "PAD":
                return lambda a: a, x  # `_add` knows that the channels behind are zero
            case "MAX_POOL_2D":
                return _halved, x
            case "RESHAPE":
                shape = node.attributes["shape"]
                return lambda a: _channels_last(a).reshape(a.shape[0], *shape), x
            case "CONCATENATION":
                axis = node.attributes["axis"]
                return lambda *parts: torch.cat(parts, axis), node.inputs
            case _:
                return self._custom(node), node.inputs

    def _custom(self, node: Node) -> Operation:
        match node.op:
            case "PART":
                number: int = node.attributes["number"]
                return self._parts[number]
            case "OF_PART":
                place: int = node.attributes["place"]
                return lambda made: made[place]
            case "Landmarks2TransformMatrix":
                return custom_ops.landmarks_to_matrix(node.attributes, self._device)
            case "TransformTensorBilinear":
                return custom_ops.transform_bilinear(node.attributes, self._device)
            case "TransformLandmarks":
                return custom_ops.transform_points
        raise ValueError(f"operation {node.op} of {self._graph.name} is unknown")

    def _convolution(self, node: Node) -> Operation:
        weight, bias = (self._weights[name] for name in node.inputs[1:])
        stride, side = node.attributes["stride"], self._graph.shapes[node.inputs[0]][1]
        depthwise = node.op == "DEPTHWISE_CONV_2D"
        kernel = weight.permute(3, 0, 1, 2) if depthwise else weight.permute(0, 3, 1, 2)
        size = kernel.shape[2]
        if not depthwise and size == stride == 1:
            return _pointwise(kernel, bias)
        if not depthwise and not node.attributes["same"] and size == side:
            return _dense(weight, bias)
        pad = 0
        if node.attributes["same"]:
            total = max((math.ceil(side / stride) - 1) * stride + size - side, 0)
            before, pad = total // 2, total - total // 2
            if not depthwise:
                return _padded_convolution(kernel, bias, stride, before, pad)
            # TensorFlow pads one more behind, torch as much in front: a zero row in front of the
            # kernel makes up for it.
            kernel = F.pad(kernel, (pad - before, 0, pad - before, 0))
        kernel = kernel.contiguous(memory_format=torch.channels_last)
        groups = kernel.shape[0] if depthwise else 1
        return lambda a: torch.conv2d(a, kernel, bias, stride, pad, 1, groups)

    def _add(self, node: Node) -> tuple[Operation, list[str]]:
        """A sum, written into the fresh output of a convolution that nothing else reads."""
        first, second = node.inputs
        if self._op(second) not in ("CONV_2D", "DEPTHWISE_CONV_2D"):
            first, second = second, first
        if self._op(second) not in ("CONV_2D", "DEPTHWISE_CONV_2D") or self._uses[second] != 1:
            return torch.add, node.inputs
        if self._op(first) == "PAD":
            channels = self._graph.shapes[self._maker[first].inputs[0]][3]

            def widen(a: Tensor, b: Tensor) -> Tensor:
                b[:, :channels].add_(a)
                return b

            return widen, [first, second]
        return lambda a, b: b.add_(a), [first, second]

    def _op(self, name: str) -> str | None:
        return self._maker[name].op if name in self._maker else None


def _pointwise(kernel: Tensor, bias: Tensor) -> Operation:
    matrix = kernel.flatten(1).t().contiguous()
    inner, outer = matrix.shape

    def run(a: Tensor) -> Tensor:
        batch, _, high, wide = a.shape
        flat = a.permute(0, 2, 3, 1).reshape(-1, inner)
        return torch.addmm(bias, flat, matrix).view(batch, high, wide, outer).permute(0, 3, 1, 2)

    return run


def _padded_convolution(
    kernel: Tensor, bias: Tensor, stride: int, before: int, after: int
) -> Operation:
    """The first layer, from plain planes: pads while it brings them into channels-last order."""
    kernel = kernel.contiguous(memory_format=torch.channels_last)

    def run(a: Tensor) -> Tensor:
        batch, channels, high, wide = a.shape
        shape = (batch, channels, high + before + after, wide + before + after)
        wider = torch.empty(
            shape, dtype=a.dtype, device=a.device, memory_format=torch.channels_last
        ).zero_()
        wider[:, :, before : before + high, before : before + wide] = a
        return torch.conv2d(wider, kernel, bias, stride)

    return run


def _halved(a: Tensor) -> Tensor:
    """Maximum of each 2x2 block, (B, C, H, W) to (B, C, H / 2, W / 2).

    Pairs of columns lie side by side in channels-last memory, which makes two wide comparisons of
    it, three times quicker than max_pool2d.
    """
    batch, channels, high, wide = a.shape
    if high % 2 or wide % 2:
        return torch.max_pool2d(a, 2)
    pairs = a.permute(0, 2, 3, 1).reshape(batch, high // 2, 2, wide // 2, 2 * channels)
    rows = torch.maximum(pairs[:, :, 0], pairs[:, :, 1])
    return torch.maximum(rows[..., :channels], rows[..., channels:]).permute(0, 3, 1, 2)


def _dense(weight: Tensor, bias: Tensor) -> Operation:
    """A convolution whose kernel covers the whole map."""
    matrix = weight.reshape(weight.shape[0], -1).t().contiguous()

    def run(a: Tensor) -> Tensor:
        return torch.addmm(bias, _channels_last(a).flatten(1), matrix)[:, :, None, None]

    return run


def _channels_last(a: Tensor) -> Tensor:
    return a.permute(0, 2, 3, 1) if a.dim() == 4 else a
