"""One file of parts: safetensors, its full key and facts as JSON in the header, and a digest.

Format: https://huggingface.co/docs/safetensors (8 bytes of header length, JSON header, tensors
without holes). Written here in blocks, because the library wants all tensors in memory at once;
read by the library, which maps the file. Nothing in it is executed. A file is written under
another name and renamed when it is whole, so that no reader ever sees half of one.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import math
import os
import re
import shutil
import struct
import threading
import uuid
from pathlib import Path
from typing import IO, Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from pipeline.avatars.parts import Parts
from pipeline.errors import in_one_line
from pipeline.rows import RowFile

MAX_HEADER = 1024**2
BLOCK = 4 * 1024**2
COPIED = 4 * 1024**2
"""Tensors up to this size are copied out of the file; larger ones stay mapped, so that memory does
not grow with the reference."""
TEMPORARY = ".tmp"
_META = "face2face"
_NO_DIGEST = "0" * 64
_DIGEST = re.compile(rb"#([0-9a-f]{64})#")
_DTYPES = {
    torch.float64: "F64",
    torch.int64: "I64",
    torch.float32: "F32",
    torch.int32: "I32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.int16: "I16",
    torch.uint8: "U8",
    torch.int8: "I8",
    torch.bool: "BOOL",
}
_TORCH = {name: dtype for dtype, name in _DTYPES.items()}
_log = logging.getLogger(__name__)


class Stopped(Exception):
    """Nobody wants the file any more."""


def write_parts(
    path: Path,
    key: dict[str, Any],
    parts: Parts,
    *,
    keep_free: int = 0,
    stop: threading.Event | None = None,
) -> int:
    """Put a file in place, whole or not at all.

    Args:
        path: its folder is made.
        key: everything that the parts depend on.
        keep_free: bytes of the disk that must stay free.
        stop: set when nobody wants it any more.

    Returns:
        Its size.

    Raises:
        OSError: no room, or the folder cannot be used.
        Stopped: see `stop`.
    """
    header = _header(key, parts)
    size = 8 + len(header) + parts.size
    path.parent.mkdir(parents=True, exist_ok=True)
    if shutil.disk_usage(path.parent).free - size < keep_free:
        raise OSError(f"fewer than {keep_free} bytes would stay free")
    draft = path.with_name(f".{path.stem}-{uuid.uuid4().hex}{TEMPORARY}")
    try:
        with draft.open("xb") as file:
            _fill(file, header, parts, stop)
        draft.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            draft.unlink()
        raise
    return size


def _fill(file: IO[bytes], header: bytes, parts: Parts, stop: threading.Event | None) -> None:
    file.write(struct.pack("<Q", len(header)) + header)
    digest = hashlib.sha256(header)
    for name in _order(parts):
        for block in parts.blocks(name):
            for start in range(0, len(block), BLOCK):
                if stop is not None and stop.is_set():
                    raise Stopped
                digest.update(block[start : start + BLOCK])
                file.write(block[start : start + BLOCK])
    file.seek(8)
    file.write(header.replace(_NO_DIGEST.encode(), digest.hexdigest().encode(), 1))


def _order(parts: Parts) -> list[str]:
    """Wide types first, so that every tensor lies at a multiple of its items' size."""
    shapes = parts.shapes()
    return sorted(shapes, key=lambda name: (-shapes[name][0].itemsize, name))


def _header(key: dict[str, Any], parts: Parts) -> bytes:
    told = {
        "digest": f"#{_NO_DIGEST}#",
        "key": key,
        "facts": parts.facts,
        "rows": list(parts.rows),
    }
    said: dict[str, Any] = {"__metadata__": {_META: json.dumps(told)}}
    offset, shapes = 0, parts.shapes()
    for name in _order(parts):
        dtype, shape = shapes[name]
        end = offset + dtype.itemsize * math.prod(shape)
        said[name] = {
            "dtype": _DTYPES[dtype],
            "shape": list(shape),
            "data_offsets": [offset, end],
        }
        offset = end
    text = json.dumps(said, separators=(",", ":")).encode()
    return text + b" " * (-len(text) % 8)


def read_parts(path: Path, key: dict[str, Any]) -> Parts | None:
    """The parts of a file that was made under exactly this key; None when there is none.

    A file that is cut short, altered, foreign or of another key is none.
    """
    try:
        with path.open("rb") as file:
            parts = _read(file, key)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, RecursionError, SafetensorError) as error:
        _log.warning("avatar ignored: %s: %s", path.name, in_one_line(error))
        return None
    with contextlib.suppress(OSError):
        os.utime(path)  # used now: the least recently used go first
    return parts


def _read(file: IO[bytes], key: dict[str, Any]) -> Parts:
    length = file.read(8)
    if len(length) < 8:
        raise ValueError("cut short")
    (size,) = struct.unpack("<Q", length)
    if size > MAX_HEADER:
        raise ValueError(f"header of {size} bytes, more than {MAX_HEADER}")
    header = file.read(size)
    said = json.loads(header)
    told = json.loads(said["__metadata__"][_META])
    if told["key"] != key:
        raise ValueError("made under another key")
    _check_digest(file, header)
    facts, rows = told["facts"], told["rows"]
    if not isinstance(facts, dict) or not isinstance(rows, list):
        raise TypeError("facts of another kind")
    tensors = _tensors(file.fileno(), rows)
    return Parts(
        tensors, {name: _rows(file.fileno(), 8 + size, said[name]) for name in rows}, facts
    )


def _check_digest(file: IO[bytes], header: bytes) -> None:
    said = _DIGEST.search(header)
    if said is None:
        raise ValueError("no digest")
    first, last = said.span(1)
    digest = hashlib.sha256(header[:first] + _NO_DIGEST.encode() + header[last:])
    while block := file.read(BLOCK):
        digest.update(block)
    if digest.hexdigest().encode() != said.group(1):
        raise ValueError("damaged: its digest is another")


def _tensors(descriptor: int, rows: list[str]) -> dict[str, Tensor]:
    """Of the very file that was checked, whatever lies under its name by now."""
    found: dict[str, Tensor] = {}
    with safe_open(f"/dev/fd/{descriptor}", framework="pt", device="cpu") as opened:
        for name in set(opened.keys()).difference(rows):
            tensor = opened.get_tensor(name)
            # Copies lie at addresses as in the first job: kernels may round by alignment.
            small = tensor.numel() * tensor.element_size() <= COPIED
            found[name] = tensor.clone() if small else tensor
    return found


def _rows(descriptor: int, start: int, entry: dict[str, Any]) -> RowFile:
    count, *shape = entry["shape"]
    return RowFile(
        os.dup(descriptor),
        shape,
        _TORCH[entry["dtype"]],
        start + int(entry["data_offsets"][0]),
        count,
    )
