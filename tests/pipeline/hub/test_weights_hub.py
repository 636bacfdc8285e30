"""Weights are pulled once, as they are pinned, and checked whenever that is asked."""

from __future__ import annotations

import hashlib
from functools import partial
from pathlib import Path

import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import load_file

from pipeline import hub_fetch, weights_hub
from pipeline.engines.musetalk.checkpoint import convert
from pipeline.errors import WeightsMissing
from pipeline.weights_hub import HubManifest
from tests.parity.rule import weights_for
from tests.pipeline.engines.musetalk.tiny import BUILDERS, SALT
from tests.pipeline.hub.published import REVISION, manifest_of, pull
from tests.pipeline.hub.standin import Hub


def test_pull_checks_converts_and_records(
    tmp_path: Path, contents: dict[str, bytes], hub: Hub
) -> None:
    manifest, said = manifest_of(contents), list[str]()
    record = pull(manifest, tmp_path, hub, said)
    folder = tmp_path / "musetalk"
    assert sorted(path.name for path in folder.iterdir()) == sorted(
        [".lock", "installed.json", *(f"{name}.safetensors" for name in contents)]
    )
    for network in contents:
        loaded = load_file(folder / f"{network}.safetensors")
        wanted = weights_for(BUILDERS[network](), SALT)
        assert loaded.keys() == wanted.keys()
        assert all(torch.equal(loaded[key], wanted[key]) for key in wanted)
        entry = record.files[network]
        assert (entry.revision, entry.licence) == (REVISION, "MIT")
        assert entry.source_sha256 == hashlib.sha256(contents[network]).hexdigest()
    assert "MIT" in said[0]
    assert weights_hub.verify(manifest, tmp_path) == []


def test_licence_is_said_before_the_first_byte_is_asked_for(
    tmp_path: Path, contents: dict[str, bytes], hub: Hub
) -> None:
    requests_at: list[int] = []
    weights_hub.pull(
        manifest_of(contents),
        tmp_path,
        partial(convert, builders=BUILDERS),
        lambda text: requests_at.append(len(hub.seen)) if "MIT" in text else None,
        hub=hub_fetch.Hub(hub.endpoint),
    )
    assert requests_at == [0]


def test_second_pull_asks_the_hub_nothing(
    tmp_path: Path, contents: dict[str, bytes], hub: Hub
) -> None:
    manifest = manifest_of(contents)
    pull(manifest, tmp_path, hub)
    before = len(hub.seen)
    pull(manifest, tmp_path, hub)
    assert len(hub.seen) == before


def test_what_is_here_and_right_needs_no_folder_that_can_be_written(
    tmp_path: Path, contents: dict[str, bytes], hub: Hub
) -> None:
    manifest = manifest_of({"taesd": contents["taesd"]})
    first = pull(manifest, tmp_path, hub)
    lock = tmp_path / "musetalk" / ".lock"
    lock.unlink()
    lock.mkdir()  # nobody can write it, root included
    said: list[str] = []
    assert pull(manifest, tmp_path, hub, said) == first
    assert said[-1] == "taesd: already here"


def test_verify_finds_what_changed_on_disk(
    tmp_path: Path, contents: dict[str, bytes], hub: Hub
) -> None:
    manifest = manifest_of(contents)
    pull(manifest, tmp_path, hub)
    folder = tmp_path / "musetalk"
    unet = bytearray((folder / "unet.safetensors").read_bytes())
    unet[-1] ^= 1
    (folder / "unet.safetensors").write_bytes(unet)
    with (folder / "vae.safetensors").open("r+b") as file:
        file.truncate(100)
    (folder / "taesd.safetensors").unlink()
    found = {finding.network: finding.problem for finding in weights_hub.verify(manifest, tmp_path)}
    assert "has sha256" in found["unet"]
    assert "has 100 bytes" in found["vae"]
    assert found["taesd"] == "is missing"
    assert "whisper" not in found
    pull(manifest, tmp_path, hub)
    assert weights_hub.verify(manifest, tmp_path) == []


def test_weights_that_this_user_may_not_read_are_a_finding_and_no_defect(
    tmp_path: Path, hub: Hub, contents: dict[str, bytes]
) -> None:
    pull(manifest_of(contents), tmp_path, hub)
    record = tmp_path / "musetalk" / "installed.json"
    record.unlink()
    record.mkdir()  # EISDIR: also root is refused
    found = weights_hub.verify(manifest_of(contents), tmp_path)
    assert {each.problem for each in found} == {"cannot be read (Is a directory)"}
    with pytest.raises(WeightsMissing, match=r"cannot be read .*weights pull musetalk"):
        weights_hub.installed(manifest_of(contents), tmp_path, ["unet"])


def test_changed_pin_makes_the_old_file_count_as_missing(
    tmp_path: Path, contents: dict[str, bytes], hub: Hub
) -> None:
    pull(manifest_of(contents), tmp_path, hub)
    moved = manifest_of(contents, sha256="1" * 64)
    with pytest.raises(WeightsMissing, match="another file than the pinned"):
        weights_hub.installed(moved, tmp_path, ["unet"])


def test_manifest_takes_commits_and_whole_digests_only(contents: dict[str, bytes]) -> None:
    good = manifest_of(contents).model_dump()
    for change in ({"revision": "main"}, {"revision": "abc123"}):
        bad = {**good, "sources": [{**good["sources"][0], **change}]}
        with pytest.raises(ValidationError):
            HubManifest.model_validate(bad)
    with pytest.raises(ValidationError):
        manifest_of(contents, sha256="abc")
