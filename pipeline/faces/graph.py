"""A frozen inference graph as data: nodes in order of execution, and the tensors they read.

On disk it is a JSON document beside a safetensors file, so that loading runs no code of others.
Shapes and weight layouts stay those of TensorFlow Lite (NHWC, OHWI); `network` turns them.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import Field
from safetensors.torch import load_file
from torch import Tensor

from pipeline.tensor_file import write_tensors
from schemas.request import Contract


class Node(Contract):
    """One operation."""

    op: str
    inputs: list[str]
    output: str
    attributes: dict[str, Any] = Field(default_factory=dict)


class Graph(Contract):
    """What is computed from what."""

    name: str
    input: str
    outputs: dict[str, str]
    """The model's own name of an output, and the tensor that it is."""
    nodes: list[Node]
    shapes: dict[str, list[int]]
    """Of every tensor, for a batch of one."""


@dataclass(frozen=True, slots=True)
class Model:
    """A graph with its weights."""

    graph: Graph
    weights: dict[str, Tensor]


def save(model: Model, folder: Path) -> list[Path]:
    """Write `<name>.json` and `<name>.safetensors`; returns both."""
    name = model.graph.name
    text, tensors = folder / f"{name}.json", folder / f"{name}.safetensors"
    text.write_text(model.graph.model_dump_json() + "\n")
    write_tensors(model.weights, tensors)
    return [text, tensors]


def load(name: str, folder: Path) -> Model:
    """Read what `save` wrote.

    Raises:
        FileNotFoundError: one of the files is not there.
    """
    graph = Graph.model_validate_json((folder / f"{name}.json").read_bytes())
    return Model(graph, load_file(folder / f"{name}.safetensors"))
