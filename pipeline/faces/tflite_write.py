"""Write a part of a frozen graph as a TensorFlow Lite file, which LiteRT runs on a processor.

Source: TensorFlow Lite schema version 3. Pictures are float32, NHWC, one at a time.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from pipeline.faces.graph import Model, Node

_OPERATORS = schema.BuiltinOperator
_OPTIONS = schema.BuiltinOptions
_SAME, _VALID = schema.Padding.SAME, schema.Padding.VALID
_VERSION = 3

KNOWN = frozenset({"CONV_2D", "DEPTHWISE_CONV_2D", "PRELU", "RELU", "ADD", "PAD", "MAX_POOL_2D"})
"""Operations that can be written."""


def write(model: Model, nodes: Sequence[Node], inputs: list[str], outputs: list[str]) -> bytes:
    """A file of its own for some nodes, in order of execution, all of `KNOWN` operations."""
    return _Writer(model).file(nodes, inputs, outputs)


class _Writer:
    def __init__(self, model: Model) -> None:
        self._model = model
        self._tensors: list[Any] = []
        self._buffers: list[Any] = [_buffer(None)]  # the first one is empty by convention
        self._places: dict[str, int] = {}
        self._codes: list[int] = []

    def file(self, nodes: Sequence[Node], inputs: list[str], outputs: list[str]) -> bytes:
        graph = schema.SubGraphT()
        graph.name = self._model.graph.name
        graph.inputs = [self._place(name) for name in inputs]
        graph.operators = [self._operator(node) for node in nodes]
        graph.outputs = [self._place(name) for name in outputs]
        graph.tensors = self._tensors
        made = schema.ModelT()
        made.version, made.description = _VERSION, self._model.graph.name
        made.subgraphs, made.buffers = [graph], self._buffers
        made.operatorCodes = [_code(number) for number in self._codes]
        builder = flatbuffers.Builder(1 << 20)
        builder.Finish(made.Pack(builder), b"TFL3")
        return bytes(builder.Output())

    def _operator(self, node: Node) -> Any:
        number = getattr(_OPERATORS, node.op)
        if number not in self._codes:
            self._codes.append(number)
        made = schema.OperatorT()
        made.opcodeIndex = self._codes.index(number)
        made.inputs = [self._place(name) for name in node.inputs]
        made.outputs = [self._place(node.output)]
        if node.op == "PAD":
            behind = np.zeros((4, 2), np.int32)
            behind[3, 1] = node.attributes["channels"]
            made.inputs.append(self._tensor(f"{node.output}/behind", behind.shape, behind))
        made.builtinOptionsType, made.builtinOptions = _options(node)
        return made

    def _place(self, name: str) -> int:
        """Where a tensor stands in the list; weights bring their values."""
        if name not in self._places:
            weight = self._model.weights.get(name)
            values = None if weight is None else weight.float().numpy()
            shape = self._model.graph.shapes[name] if values is None else values.shape
            self._places[name] = self._tensor(name, shape, values)
        return self._places[name]

    def _tensor(self, name: str, shape: Sequence[int], values: NDArray[Any] | None) -> int:
        made = schema.TensorT()
        made.name, made.shape = name, list(shape)
        whole = values is not None and values.dtype == np.int32
        made.type = schema.TensorType.INT32 if whole else schema.TensorType.FLOAT32
        made.buffer = 0
        if values is not None:
            made.buffer = len(self._buffers)
            self._buffers.append(_buffer(np.ascontiguousarray(values)))
        self._tensors.append(made)
        return len(self._tensors) - 1


def _buffer(values: NDArray[Any] | None) -> Any:
    made = schema.BufferT()
    if values is not None:
        made.data = np.frombuffer(values.tobytes(), np.uint8)
    return made


def _code(number: int) -> Any:
    made = schema.OperatorCodeT()
    made.builtinCode = number
    made.deprecatedBuiltinCode, made.version = min(number, 127), 1
    return made


def _depthwise(node: Node) -> Any:
    made = _strided(schema.DepthwiseConv2DOptionsT(), node)
    made.depthMultiplier = 1
    return made


def _strided(made: Any, node: Node) -> Any:
    made.strideW = made.strideH = node.attributes["stride"]
    made.dilationWFactor = made.dilationHFactor = 1
    made.padding = _SAME if node.attributes["same"] else _VALID
    return made


def _halved() -> Any:
    made = schema.Pool2DOptionsT()
    made.strideW = made.strideH = made.filterWidth = made.filterHeight = 2
    made.padding = _VALID
    return made


def _options(node: Node) -> tuple[int, Any]:
    match node.op:
        case "CONV_2D":
            return _OPTIONS.Conv2DOptions, _strided(schema.Conv2DOptionsT(), node)
        case "DEPTHWISE_CONV_2D":
            return _OPTIONS.DepthwiseConv2DOptions, _depthwise(node)
        case "MAX_POOL_2D":
            return _OPTIONS.Pool2DOptions, _halved()
        case "ADD":
            return _OPTIONS.AddOptions, schema.AddOptionsT()
        case "PAD":
            return _OPTIONS.PadOptions, schema.PadOptionsT()
    return _OPTIONS.NONE, None
