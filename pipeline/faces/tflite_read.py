"""Read a TensorFlow Lite file into a `Graph`. Used once, when the weights are pulled.

Half-precision weights stay as they are stored; the DEQUANTIZE in front of each is dropped.
Only what the two face models use is accepted: an unknown operation or option is an error here,
not a wrong picture later.

Source: TensorFlow Lite schema version 3; MediaPipe, `util/tflite/operations` (custom operations).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import tflite
import torch
from flatbuffers import flexbuffers
from torch import Tensor

from pipeline.faces.graph import Graph, Model, Node

_NAMES = {code: name for name, code in vars(tflite.BuiltinOperator).items() if type(code) is int}
_DTYPES = {
    tflite.TensorType.FLOAT32: np.float32,
    tflite.TensorType.FLOAT16: np.float16,
    tflite.TensorType.INT32: np.int32,
}


class UnknownGraph(ValueError):
    """The file holds something that this reader does not know."""


def read(name: str, data: bytes) -> Model:
    """Parse a model.

    Raises:
        UnknownGraph: an operation or option that neither face model uses.
    """
    return _Reader(data).model(name)


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._model = tflite.Model.GetRootAsModel(data, 0)
        self._graph = self._model.Subgraphs(0)
        self._alias: dict[int, int] = {}
        self._weights: dict[str, Tensor] = {}

    def model(self, name: str) -> Model:
        nodes = [node for n in range(self._graph.OperatorsLength()) if (node := self._node(n))]
        used = {tensor for node in nodes for tensor in [*node.inputs, node.output]}
        graph = Graph(
            name=name,
            input=self._key(int(self._graph.InputsAsNumpy()[0])),
            outputs={self._label(i): self._key(i) for i in map(int, self._graph.OutputsAsNumpy())},
            nodes=nodes,
            shapes={key: self._shape(int(key[1:])) for key in sorted(used)},
        )
        return Model(graph, self._weights)

    def _node(self, number: int) -> Node | None:
        operator = self._graph.Operators(number)
        inputs = [int(i) for i in operator.InputsAsNumpy()]
        output = int(operator.OutputsAsNumpy()[0])
        name = self._name(operator)
        if name == "DEQUANTIZE" or (
            name == "STRIDED_SLICE" and self._shape(inputs[0]) == self._shape(output)
        ):
            self._alias[output] = inputs[0]
            return None
        attributes = self._attributes(name, operator, inputs, output)
        keep = inputs[:1] if name in ("PAD", "RESHAPE") else inputs
        for i in keep:
            self._store(i)
        return Node(
            op=name,
            inputs=[self._key(i) for i in keep],
            output=self._key(output),
            attributes=attributes,
        )

    def _name(self, operator: Any) -> str:
        code = self._model.OperatorCodes(operator.OpcodeIndex())
        number = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
        if number == tflite.BuiltinOperator.CUSTOM:
            return str(code.CustomCode().decode())
        name: str = _NAMES[number]
        return name

    def _attributes(
        self, name: str, operator: Any, inputs: list[int], output: int
    ) -> dict[str, Any]:
        if name in _OPTIONS:
            make, read_options = _OPTIONS[name]
            options = make()
            table = operator.BuiltinOptions()
            options.Init(table.Bytes, table.Pos)
            return read_options(options)
        if name == "PAD":
            pads = self._constant(inputs[1])
            if pads is None or pads[:3].any() or pads[3, 0] or pads.shape != (4, 2):
                raise UnknownGraph(f"PAD by {pads}, not by channels behind")
            return {"channels": int(pads[3, 1])}
        if name == "RESHAPE":
            return {"shape": self._shape(output)[1:]}
        if name in _CUSTOM:
            raw = bytes(operator.CustomOptionsAsNumpy()) if operator.CustomOptionsLength() else b""
            found = flexbuffers.Loads(raw) if len(raw) > 3 else {}  # an empty map has no bytes
            return {key: found[key] for key in _CUSTOM[name]}
        if name in ("ADD", "MUL", "RELU", "PRELU"):
            return {}
        raise UnknownGraph(f"operation {name}")

    def _constant(self, index: int) -> Any:
        index = self._alias.get(index, index)
        tensor = self._graph.Tensors(index)
        buffer = self._model.Buffers(tensor.Buffer())
        if buffer.DataLength() == 0:
            return None
        return buffer.DataAsNumpy().view(_DTYPES[tensor.Type()]).reshape(self._shape(index))

    def _store(self, index: int) -> None:
        values = self._constant(index)
        if values is not None:
            self._weights[self._key(index)] = torch.from_numpy(values.copy())

    def _key(self, index: int) -> str:
        return f"t{self._alias.get(index, index)}"

    def _label(self, index: int) -> str:
        return str(self._graph.Tensors(index).Name().decode())

    def _shape(self, index: int) -> list[int]:
        return [int(n) for n in self._graph.Tensors(index).ShapeAsNumpy()]


def _convolution(options: Any) -> dict[str, Any]:
    plain = (
        options.StrideH() == options.StrideW()
        and options.DilationHFactor() == options.DilationWFactor() == 1
        and options.FusedActivationFunction() == tflite.ActivationFunctionType.NONE
    )
    if not plain:
        raise UnknownGraph("a convolution with dilation, activation or uneven strides")
    return {
        "stride": int(options.StrideH()),
        "same": options.Padding() == tflite.Padding.SAME,
    }


def _pool(options: Any) -> dict[str, Any]:
    sizes = {options.FilterHeight(), options.FilterWidth(), options.StrideH(), options.StrideW()}
    if sizes != {2}:
        raise UnknownGraph(f"a pool of {sizes}")
    return {}


def _concatenation(options: Any) -> dict[str, Any]:
    return {"axis": int(options.Axis())}


_OPTIONS: dict[str, tuple[Callable[[], Any], Callable[[Any], dict[str, Any]]]] = {
    "CONV_2D": (tflite.Conv2DOptions, _convolution),
    "DEPTHWISE_CONV_2D": (tflite.DepthwiseConv2DOptions, _convolution),
    "MAX_POOL_2D": (tflite.Pool2DOptions, _pool),
    "CONCATENATION": (tflite.ConcatenationOptions, _concatenation),
}
_CUSTOM: dict[str, tuple[str, ...]] = {
    "Landmarks2TransformMatrix": (
        "left_rotation_idx",
        "right_rotation_idx",
        "subset_idxs",
        "scale_x",
        "scale_y",
        "output_width",
        "output_height",
        "target_rotation_radians",
    ),
    "TransformTensorBilinear": ("output_width", "output_height"),
    "TransformLandmarks": (),
}
