"""Weights in a safetensors file, as this project writes them."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

_ERRNO = re.compile(r"\(os error (\d+)\)")
"""How the library tells what a system call said."""


def write_tensors(tensors: Mapping[str, Tensor], path: Path) -> None:
    """Write a file that everybody may read.

    The library leaves it to its owner, but who pulls is often another user than who renders.

    Raises:
        OSError: such as a full disk, which the library says in words of its own.
    """
    try:
        save_file({name: value.contiguous() for name, value in tensors.items()}, path)
    except SafetensorError as error:
        number = _ERRNO.search(str(error))
        if number is None:
            raise
        code = int(number[1])
        raise OSError(code, os.strerror(code), str(path)) from error
    path.chmod(0o644)
