"""A frozen graph on a processor: LiteRT runs the layers, torch what lies between them.

LiteRT's kernels (XNNPACK) are made for such small layers. A face costs half of what torch takes
for it, and as much alone as in a batch: so faces go one by one, and what is seen in one depends on
no other. The operations that LiteRT does not know, which cut an eye out of a feature map and
carry points back, divide a graph into parts; `pipeline.faces.network` runs them.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import torch
from ai_edge_litert.interpreter import Interpreter
from torch import Tensor

from pipeline.faces import tflite_write
from pipeline.faces.graph import Model, Node
from pipeline.faces.litert_stderr import without_greeting
from pipeline.faces.network import Network

_first = threading.Lock()


class LiteNetwork(Network):
    """Stands for a `Network` on the CPU; several threads may call it."""

    def __init__(self, model: Model) -> None:
        rest, parts = _divided(model)
        super().__init__(rest, parts=parts)


class Part:
    """Layers that LiteRT runs in one go.

    Args:
        content: a TensorFlow Lite file.
        inputs: names of its tensors that are given, in order.
        outputs: names of those that are asked for, in order.
    """

    def __init__(self, content: bytes, inputs: list[str], outputs: list[str]) -> None:
        self._content, self._inputs, self._outputs = content, inputs, outputs
        self._idle: deque[_Loaded] = deque()
        """Loaded files: one works for one thread at a time."""

    def __call__(self, *pictures: Tensor) -> list[Tensor]:
        """(N, C, H, W) of each input to the same of each output, channels innermost in memory."""
        try:
            loaded = self._idle.pop()
        except IndexError:
            loaded = _Loaded(self._content, self._inputs, self._outputs)
        try:
            return loaded.run(pictures)
        finally:
            self._idle.append(loaded)


class _Loaded:
    def __init__(self, content: bytes, inputs: list[str], outputs: list[str]) -> None:
        with _first, without_greeting():
            self._interpreter = Interpreter(model_content=content, num_threads=1)
            self._interpreter.allocate_tensors()
        given = {d["name"]: d["index"] for d in self._interpreter.get_input_details()}
        asked = {d["name"]: d for d in self._interpreter.get_output_details()}
        self._inputs = [self._interpreter.tensor(given[name]) for name in inputs]
        self._outputs = [self._interpreter.tensor(asked[name]["index"]) for name in outputs]
        self._shapes = [tuple(asked[name]["shape"][1:]) for name in outputs]

    def run(self, pictures: Sequence[Tensor]) -> list[Tensor]:
        given = [picture.permute(0, 2, 3, 1).contiguous().numpy() for picture in pictures]
        count = len(pictures[0])
        made = [torch.empty(count, *shape) for shape in self._shapes]
        room = [values.numpy() for values in made]
        for n in range(count):
            # The interpreter's own memory must not be held while it runs.
            for place, values in zip(self._inputs, given, strict=True):
                place()[0] = values[n]
            self._interpreter.invoke()
            for values, place in zip(room, self._outputs, strict=True):
                values[n] = place()[0]
        return [values.permute(0, 3, 1, 2) for values in made]


def _divided(model: Model) -> tuple[Model, Sequence[Callable[..., Any]]]:
    """The graph with its layers as parts, and the parts."""
    graph = model.graph
    depth = _depths(model)
    parts: list[Part] = []
    nodes: list[Node] = []
    for level in range(max(depth.values(), default=0) + 1):
        here = [node for node in graph.nodes if depth[node.output] == level]
        layers = [node for node in here if node.op in tflite_write.KNOWN]
        if layers:
            inputs, outputs = _ends(model, layers)
            nodes += _as_nodes(len(parts), inputs, outputs)
            parts.append(Part(tflite_write.write(model, layers, inputs, outputs), inputs, outputs))
        nodes += [node for node in here if node.op not in tflite_write.KNOWN]
    return Model(graph.model_copy(update={"nodes": nodes}), model.weights), parts


def _depths(model: Model) -> dict[str, int]:
    """Of each node's output: how often torch has its turn before the layers there can run."""
    depth: dict[str, int] = {}
    layer: dict[str, bool] = {}
    for node in model.graph.nodes:
        layer[node.output] = node.op in tflite_write.KNOWN
        depth[node.output] = max(
            (
                depth[name] + (layer[node.output] and not layer[name])
                for name in node.inputs
                if name in depth
            ),
            default=0,
        )
    return depth


def _ends(model: Model, layers: Sequence[Node]) -> tuple[list[str], list[str]]:
    """Tensors that layers need from elsewhere, and those of theirs that others need."""
    made = {node.output for node in layers}
    read = {name for node in layers for name in node.inputs}
    others = [node for node in model.graph.nodes if node.output not in made]
    needed = {name for node in others for name in node.inputs}
    needed |= set(model.graph.outputs.values())
    inputs = sorted(read - made - set(model.weights))
    return inputs, sorted(made & needed)


def _as_nodes(number: int, inputs: list[str], outputs: list[str]) -> list[Node]:
    whole = f"part {number}"
    run = Node(op="PART", inputs=inputs, output=whole, attributes={"number": number})
    return [
        run,
        *(
            Node(op="OF_PART", inputs=[whole], output=name, attributes={"place": place})
            for place, name in enumerate(outputs)
        ),
    ]
