"""Checkpoints become weights without running what is in them, and load without a hub."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save

from pipeline.engines.musetalk import weights as musetalk_weights
from pipeline.engines.musetalk.checkpoint import convert
from pipeline.errors import WeightsMissing
from tests.parity.rule import weights_for
from tests.pipeline.engines.musetalk.tiny import BUILDERS, SALT
from tests.pipeline.hub.published import PATHS, REPO, REVISION, manifest_of, published, pull
from tests.pipeline.hub.standin import Hub


class _Bomb:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("legacy", [False, True])
def test_checkpoint_that_carries_code_is_refused_and_not_run(tmp_path: Path, legacy: bool) -> None:
    trap = tmp_path / "trap"
    source = tmp_path / "unet.pth"
    torch.save({"a": _Bomb(trap)}, source, _use_new_zipfile_serialization=not legacy)
    with pytest.raises(WeightsMissing, match=r"would call \S*mkdir, .*torch\.save") as caught:
        convert("unet", source, tmp_path / "out.safetensors", BUILDERS)
    assert "weights_only" not in str(caught.value), "that switch is what would run it"
    assert not trap.exists()


def test_bare_pickle_is_refused_and_not_run(tmp_path: Path) -> None:
    trap, source = tmp_path / "trap", tmp_path / "unet.pth"
    source.write_bytes(pickle.dumps(_Bomb(trap)))
    with pytest.raises(WeightsMissing, match="no readable checkpoint"):
        convert("unet", source, tmp_path / "out.safetensors", BUILDERS)
    assert not trap.exists()


def test_checkpoint_of_another_network_is_refused_by_name(tmp_path: Path) -> None:
    tensors = published("taesd")
    first = next(iter(tensors))
    tensors["surplus"] = tensors.pop(first)
    source = tmp_path / "taesd.safetensors"
    source.write_bytes(save(tensors))
    with pytest.raises(WeightsMissing, match=rf"1 missing \({first}\); 1 unknown \(surplus\)"):
        convert("taesd", source, tmp_path / "out.safetensors", BUILDERS)
    assert not (tmp_path / "out.safetensors").exists()


def test_missing_weights_name_the_command(tmp_path: Path) -> None:
    with pytest.raises(WeightsMissing, match="`face2face weights pull musetalk`"):
        musetalk_weights.load(tmp_path, "cpu", torch.float32)


@pytest.mark.parametrize("fast", [False, True])
def test_loading_needs_no_hub_and_gives_the_published_weights(
    tmp_path: Path, contents: dict[str, bytes], fast: bool
) -> None:
    manifest = manifest_of(contents)
    with Hub({(REPO, REVISION, PATHS[n]): content for n, content in contents.items()}) as hub:
        pull(manifest, tmp_path, hub)
    loaded = musetalk_weights.load(
        tmp_path, "cpu", torch.float32, fast, pinned=manifest, builders=BUILDERS
    )
    for name, network in (("unet", loaded.unet), ("vae", loaded.vae), ("whisper", loaded.whisper)):
        wanted = weights_for(BUILDERS[name](), SALT)
        assert all(torch.equal(wanted[key], value) for key, value in network.state_dict().items())
    assert (loaded.decoder is loaded.vae) is not fast


def test_weights_of_the_right_size_that_are_none_name_the_command(
    tmp_path: Path, contents: dict[str, bytes]
) -> None:
    manifest = manifest_of(contents)
    with Hub({(REPO, REVISION, PATHS[n]): content for n, content in contents.items()}) as hub:
        pull(manifest, tmp_path, hub)
    path = tmp_path / "musetalk" / "vae.safetensors"
    path.write_bytes(bytes(path.stat().st_size))
    with pytest.raises(WeightsMissing, match=r"vae\.safetensors cannot be read .*pull musetalk`"):
        musetalk_weights.load(tmp_path, "cpu", torch.float32, pinned=manifest, builders=BUILDERS)


def test_weights_may_be_read_by_another_user_than_the_one_who_pulled(
    tmp_path: Path, contents: dict[str, bytes]
) -> None:
    with Hub({(REPO, REVISION, PATHS[n]): content for n, content in contents.items()}) as hub:
        pull(manifest_of(contents), tmp_path, hub)
    made = sorted((tmp_path / "musetalk").glob("*.safetensors"))
    assert [oct(path.stat().st_mode & 0o777) for path in made] == ["0o644"] * 4


def test_conversion_that_finds_no_room_is_the_system_s_own_error(tmp_path: Path) -> None:
    """By a limit of a file's size, in a process of its own, as a full disk answers.

    That process keeps nothing of what it compiles: Python would cut it at the limit and leave it.
    """
    source = tmp_path / "taesd.safetensors"
    source.write_bytes(save(published("taesd")))
    script = (
        "import resource, sys; from pathlib import Path;"
        "from pipeline.engines.musetalk.checkpoint import convert;"
        "from tests.pipeline.engines.musetalk.tiny import BUILDERS;"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000));"
        "convert('taesd', Path(sys.argv[1]), Path(sys.argv[2]), BUILDERS)"
    )
    made = str(tmp_path / "made.safetensors")
    asked = [sys.executable, "-B", "-c", script, str(source), made]
    done = subprocess.run(asked, capture_output=True, text=True, check=False)
    assert done.stderr.splitlines()[-1].startswith("OSError: [Errno 27]"), done.stderr
    assert not (tmp_path / "made.safetensors").exists()


def test_published_manifest_pins_every_network_of_the_engine() -> None:
    manifest = musetalk_weights.manifest()
    assert sorted(manifest.pins()) == sorted(musetalk_weights.FAST_NETWORKS)
    assert all(source.licence and source.licence_url for source in manifest.sources)
    facts = musetalk_weights.facts(fast=False)
    assert [len(fact.sha256) for fact in facts] == [64, 64, 64]
