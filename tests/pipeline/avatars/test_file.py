"""A file gives back what went in, and anything doubtful is no file."""

from __future__ import annotations

import json
import shutil
import struct
import threading
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from pipeline.avatars import file as files
from pipeline.avatars.file import Stopped, read_parts, write_parts
from pipeline.avatars.parts import Parts
from pipeline.rows import RowFile

KEY: dict[str, Any] = {"video": "ab", "frames": 3, "limits": {"most": float("inf")}}


def parts(folder: Path) -> Parts:
    rows = RowFile.nameless(folder, (2, 2), torch.float16)
    rows.write(0, torch.arange(20, dtype=torch.float16).view(5, 2, 2))
    tensors = {
        "bytes": torch.arange(7, dtype=torch.uint8),
        "yes": torch.tensor([True, False]),
        "long": torch.tensor([[1, -2]]),
        "double": torch.tensor(0.1, dtype=torch.float64),
        "none": torch.zeros(0, 4),
        "large": torch.arange(files.COPIED // 4 + 5, dtype=torch.float32),
    }
    return Parts(tensors, {"rows": rows}, {"mode": "unit", "share": 0.1, "said": {"box": [1.5]}})


def test_what_went_in_comes_out(tmp_path: Path) -> None:
    before, path = parts(tmp_path), tmp_path / "a" / "b" / "1.safetensors"
    size = write_parts(path, KEY, before)
    assert size == path.stat().st_size
    after = read_parts(path, KEY)
    assert after is not None
    assert after.facts == before.facts
    assert after.tensors.keys() == before.tensors.keys()
    for name, tensor in before.tensors.items():
        assert after.tensors[name].dtype == tensor.dtype
        assert torch.equal(after.tensors[name], tensor)
    assert torch.equal(after.rows["rows"].read(0, 5), before.rows["rows"].read(0, 5))
    assert after.digest() == before.digest()
    assert [p.name for p in path.parent.iterdir()] == [path.name], "no draft is left"


def test_it_is_a_safetensors_file_like_any_other(tmp_path: Path) -> None:
    path = tmp_path / "1.safetensors"
    write_parts(path, KEY, parts(tmp_path))
    loaded = load_file(path)
    assert torch.equal(loaded["long"], torch.tensor([[1, -2]]))
    assert loaded["rows"].shape == (5, 2, 2)


def test_a_file_that_went_while_it_is_used_can_still_be_read(tmp_path: Path) -> None:
    path = tmp_path / "1.safetensors"
    write_parts(path, KEY, parts(tmp_path))
    found = read_parts(path, KEY)
    assert found is not None
    path.unlink()
    assert float(found.tensors["large"][-1]) == files.COPIED // 4 + 4
    assert float(found.rows["rows"][[4]][0, 1, 1]) == 19


def test_every_flipped_byte_and_every_missing_one_is_found(tmp_path: Path) -> None:
    path = tmp_path / "1.safetensors"
    small = parts(tmp_path)
    del small.tensors["large"]
    write_parts(path, KEY, small)
    whole = path.read_bytes()
    assert read_parts(path, KEY) is not None
    for at in range(0, len(whole), 5):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        assert read_parts(path, KEY) is None, at
        path.write_bytes(whole[:at])
        assert read_parts(path, KEY) is None, at
    path.write_bytes(whole + b"\0")
    assert read_parts(path, KEY) is None


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff" * 64,
        struct.pack("<Q", 1 << 40),
        struct.pack("<Q", 2) + b"{}",
        struct.pack("<Q", 2) + b"[]",
        struct.pack("<Q", 200_000) + b"[" * 200_000,
        struct.pack("<Q", 40) + b'{"__metadata__":{"face2face":"{\\"a\\":1}"}}'[:40],
    ],
)
def test_a_foreign_file_is_none(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "1.safetensors"
    path.write_bytes(data)
    assert read_parts(path, KEY) is None


def test_safetensors_of_others_and_folders_are_none(tmp_path: Path) -> None:
    path = tmp_path / "1.safetensors"
    save_file({"a": torch.zeros(3)}, path, {"face2face": json.dumps({"key": KEY})})
    assert read_parts(path, KEY) is None
    assert read_parts(tmp_path, KEY) is None
    assert read_parts(tmp_path / "absent", KEY) is None


@pytest.mark.parametrize("change", [{"frames": 4}, {"more": None}, {"video": "ac"}])
def test_another_key_is_a_miss_whatever_the_name(change: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "1.safetensors"
    write_parts(path, KEY, parts(tmp_path))
    assert read_parts(path, {**KEY, **change}) is None
    fewer = {k: v for k, v in KEY.items() if k != "frames"}
    assert read_parts(path, fewer) is None


def test_a_disk_without_room_and_a_job_that_ends_leave_nothing(tmp_path: Path) -> None:
    path = tmp_path / "cache" / "1.safetensors"
    with pytest.raises(OSError, match="would stay free"):
        write_parts(path, KEY, parts(tmp_path), keep_free=shutil.disk_usage(tmp_path).total)
    stop = threading.Event()
    stop.set()
    with pytest.raises(Stopped):
        write_parts(path, KEY, parts(tmp_path), stop=stop)
    assert list(path.parent.iterdir()) == []
