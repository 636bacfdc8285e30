"""The weights of the phone network, as the wheel of `hama` carries them.

A `.hama` file is little-endian: `HAMAPK`, version and kind (u8 each), a count (u32), then for each
tensor its name (u16 length, UTF-8), type (u8: 0 float32, 1 float16), rank (u8), sides (u32 each),
offset and length in bytes (u64 each); the data follow at the next multiple of 16.
"""

from __future__ import annotations

import hashlib
import json
import math
import struct
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from pipeline.errors import WeightsMissing
from schemas.codes import Stage

VERSION = "1.7.0"
"""Of the package; its network's tensors have other names in other versions."""
SHA256 = "a9fcfe73e179ca48e399cd76a90a6b3e1887bf5037ecc52b778d13a149563328"
_MAGIC = b"HAMAPK"
_TYPES = {0: "<f4", 1: "<f2"}


def load_weights() -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """Tensors of the installed package by name, float32, and what each output stands for.

    That is IPA, then the end of a word, then the blank of CTC.

    Raises:
        WeightsMissing: the package is not installed, or is not the version that is known.
    """
    try:
        package = distribution("hama")
    except PackageNotFoundError:
        raise _missing("is not installed") from None
    assets = Path(str(package.locate_file("hama/assets")))
    try:
        data = (assets / "asr_waveform.hama").read_bytes()
        known = json.loads((assets / "g2p_vocab.json").read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise _missing(f"lacks {Path(error.filename).name}") from error
    if hashlib.sha256(data).hexdigest() != SHA256:
        raise _missing(f"{package.version} carries another network")
    return read_archive(data), (*known["decoder"], "<wb>", "<blank>")


def _missing(what: str) -> WeightsMissing:
    return WeightsMissing(
        f"the package hama, which carries the phone network, {what}: install hama=={VERSION}",
        stage=Stage.GENERATE,
        package="hama",
        version=VERSION,
    )


def read_archive(data: bytes) -> dict[str, Tensor]:
    """The tensors of a `.hama` file by name, of any shape, as float32.

    Raises:
        ValueError: it is not one, or is cut off.
    """
    if data[:6] != _MAGIC:
        raise ValueError("not a .hama file")
    try:
        return _tensors(data)
    except struct.error as error:
        raise ValueError("a .hama file that is cut off") from error


def _tensors(data: bytes) -> dict[str, Tensor]:
    (count,) = struct.unpack_from("<I", data, 8)
    at, table = 12, []
    for _ in range(count):
        (length,) = struct.unpack_from("<H", data, at)
        name = data[at + 2 : at + 2 + length].decode()
        at += 2 + length
        kind, rank = struct.unpack_from("<BB", data, at)
        shape = struct.unpack_from(f"<{rank}I", data, at + 2)
        (offset, _) = struct.unpack_from("<QQ", data, at + 2 + 4 * rank)
        at += 18 + 4 * rank
        table.append((name, _TYPES[kind], shape, offset))
    base = -(-at // 16) * 16
    return {name: _tensor(data, kind, shape, base + offset) for name, kind, shape, offset in table}


def _tensor(data: bytes, kind: str, shape: tuple[int, ...], offset: int) -> Tensor:
    values = np.frombuffer(data, kind, math.prod(shape), offset)
    return torch.from_numpy(values.astype(np.float32)).reshape(shape)
