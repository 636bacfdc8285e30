"""The whole way of weights: hub, pin, digest, conversion, offline loading. Over real sockets."""

from __future__ import annotations

import hashlib
import io
import os
import pickle
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import load_file, save
from torch import Tensor

from pipeline import weights_hub
from pipeline.engines.musetalk import weights as musetalk_weights
from pipeline.engines.musetalk.checkpoint import convert
from pipeline.errors import ScratchFull, WeightsMissing
from pipeline.hub_fetch import ATTEMPTS
from pipeline.weights_hub import HubManifest, Installed
from tests.parity.rule import weights_for
from tests.pipeline.engines.musetalk.tiny import BUILDERS, SALT
from tests.pipeline.hub_standin import Hub

REVISION = "0123456789abcdef0123456789abcdef01234567"
REPO = "someone/something"
OLD = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
PATHS = {
    "unet": "unet.pth",
    "vae": "vae.safetensors",
    "whisper": "whisper.bin",
    "taesd": "taesd.safetensors",
}


def _published(network: str) -> dict[str, Tensor]:
    """The rule's weights under the names, and in the shapes, that the public files have."""
    tensors = weights_for(BUILDERS[network](), SALT)
    if network == "whisper":
        inside = {f"model.encoder.{key}": value for key, value in tensors.items()}
        return {**inside, "model.decoder.layer_norm.weight": torch.ones(4)}
    if network != "vae":
        return tensors
    out: dict[str, Tensor] = {}
    for key, value in tensors.items():
        name = key
        for new, old in OLD.items():
            name = name.replace(f".{new}.", f".{old}.")
        out[name] = value[:, :, None, None] if name != key and value.ndim == 2 else value
    return out


def _torch_archive(value: Any) -> bytes:
    file = io.BytesIO()
    torch.save(value, file)
    return file.getvalue()


@pytest.fixture(scope="module")
def contents() -> dict[str, bytes]:
    return {
        "unet": _torch_archive(_published("unet")),
        "vae": save({key: value.contiguous() for key, value in _published("vae").items()}),
        "whisper": _torch_archive(_published("whisper")),
        "taesd": save(_published("taesd")),
    }


def _manifest(contents: dict[str, bytes], **changes: Any) -> HubManifest:
    files = [
        {
            "network": network,
            "path": PATHS[network],
            "size": len(content),
            "sha256": hashlib.sha256(content).hexdigest(),
            **changes,
        }
        for network, content in contents.items()
    ]
    source = {"repo": REPO, "revision": REVISION, "licence": "MIT", "files": files}
    source["licence_url"] = "https://example.org/licence"
    return HubManifest.model_validate({"name": "musetalk", "sources": [source]})


@pytest.fixture
def hub(contents: dict[str, bytes]) -> Iterator[Hub]:
    files = {(REPO, REVISION, PATHS[name]): content for name, content in contents.items()}
    with Hub(files) as server:
        yield server


def _pull(manifest: HubManifest, root: Path, hub: Hub, said: list[str] | None = None) -> Installed:
    return weights_hub.pull(
        manifest,
        root,
        partial(convert, builders=BUILDERS),
        said.append if said is not None else lambda _: None,
        endpoint=hub.endpoint,
        pause_s=0.0,
    )


def test_pull_checks_converts_and_records(
    tmp_path: Path, contents: dict[str, bytes], hub: Hub
) -> None:
    manifest, said = _manifest(contents), list[str]()
    record = _pull(manifest, tmp_path, hub, said)
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
        _manifest(contents),
        tmp_path,
        partial(convert, builders=BUILDERS),
        lambda text: requests_at.append(len(hub.seen)) if "MIT" in text else None,
        endpoint=hub.endpoint,
    )
    assert requests_at == [0]


def test_second_pull_asks_the_hub_nothing(
    tmp_path: Path, contents: dict[str, bytes], hub: Hub
) -> None:
    manifest = _manifest(contents)
    _pull(manifest, tmp_path, hub)
    before = len(hub.seen)
    _pull(manifest, tmp_path, hub)
    assert len(hub.seen) == before


def test_what_is_here_and_right_needs_no_folder_that_can_be_written(
    tmp_path: Path, contents: dict[str, bytes], hub: Hub
) -> None:
    manifest = _manifest({"taesd": contents["taesd"]})
    first = _pull(manifest, tmp_path, hub)
    lock = tmp_path / "musetalk" / ".lock"
    lock.unlink()
    lock.mkdir()  # nobody can write it, root included
    said: list[str] = []
    assert _pull(manifest, tmp_path, hub, said) == first
    assert said[-1] == "taesd: already here"


def test_body_longer_than_the_pinned_file_ends_the_pull_at_once(
    tmp_path: Path, contents: dict[str, bytes], hub: Hub
) -> None:
    only = {"taesd": contents["taesd"]}
    hub.faults.surplus = [1]
    with pytest.raises(WeightsMissing, match=r"localhost.* sends more than the .*HF_ENDPOINT"):
        _pull(_manifest(only), tmp_path, hub)
    assert len(hub.bodies()) == 1
    assert list((tmp_path / "musetalk" / "downloads").iterdir()) == []


def test_broken_connection_is_continued_where_it_broke(
    tmp_path: Path, contents: dict[str, bytes], hub: Hub
) -> None:
    only = {"unet": contents["unet"]}
    hub.faults.cuts = [len(only["unet"]) // 3] * 2
    _pull(_manifest(only), tmp_path, hub)
    assert [seen.range is not None for seen in hub.bodies()] == [False, True, True]
    assert hub.sent == len(only["unet"])


def test_pull_that_gave_up_is_continued_by_the_next(
    tmp_path: Path, contents: dict[str, bytes], hub: Hub
) -> None:
    only = {"unet": contents["unet"]}
    manifest, kept = _manifest(only), 1 << 16
    hub.faults.cuts = [kept] + [0] * ATTEMPTS
    with pytest.raises(WeightsMissing, match="what arrived is kept"):
        _pull(manifest, tmp_path, hub)
    parts = (tmp_path / "musetalk" / "downloads").glob("*.part")
    assert [path.stat().st_size for path in parts] == [kept]
    hub.faults.cuts, hub.sent = [], 0
    hub.seen.clear()
    _pull(manifest, tmp_path, hub)
    assert hub.bodies()[0].range == f"bytes={kept}-"
    assert hub.sent == len(only["unet"]) - kept


def test_server_that_ignores_ranges_still_gives_the_right_file(
    tmp_path: Path, contents: dict[str, bytes], hub: Hub
) -> None:
    only = {"taesd": contents["taesd"]}
    hub.faults.cuts, hub.faults.ignore_range = [1000], True
    manifest = _manifest(only)
    _pull(manifest, tmp_path, hub)
    assert weights_hub.verify(manifest, tmp_path) == []


def test_other_bytes_than_the_pinned_ones_are_deleted_and_not_used(
    tmp_path: Path, contents: dict[str, bytes], hub: Hub
) -> None:
    only = {"taesd": contents["taesd"]}
    manifest = _manifest(only, sha256="0" * 64)
    with pytest.raises(WeightsMissing, match="it was deleted, not used") as caught:
        _pull(manifest, tmp_path, hub)
    assert caught.value.detail["pinned"] == "0" * 64
    assert list((tmp_path / "musetalk" / "downloads").iterdir()) == []
    assert not (tmp_path / "musetalk" / "taesd.safetensors").exists()


def test_another_revision_is_refused_before_its_bytes(
    tmp_path: Path, contents: dict[str, bytes], hub: Hub
) -> None:
    hub.faults.revision = "f" * 40
    with pytest.raises(WeightsMissing, match="answered for revision ffffffff"):
        _pull(_manifest(contents), tmp_path, hub)
    assert hub.bodies() == []


def test_another_size_is_refused_before_its_bytes(
    tmp_path: Path, contents: dict[str, bytes], hub: Hub
) -> None:
    with pytest.raises(WeightsMissing, match="the manifest pins 7"):
        _pull(_manifest(contents, size=7), tmp_path, hub)
    assert hub.bodies() == []


@pytest.mark.parametrize(("status", "said"), [(404, "404"), (403, "403"), (500, "500")])
def test_hub_that_refuses_is_named_with_its_answer(
    tmp_path: Path, contents: dict[str, bytes], hub: Hub, status: int, said: str
) -> None:
    hub.faults.status = status
    with pytest.raises(WeightsMissing, match=said):
        _pull(_manifest(contents), tmp_path, hub)


def test_hub_that_is_busy_for_a_moment_is_asked_again(
    tmp_path: Path, contents: dict[str, bytes], hub: Hub
) -> None:
    hub.faults.busy = [503, 429, 502]
    manifest = _manifest({"taesd": contents["taesd"]})
    _pull(manifest, tmp_path, hub)
    assert weights_hub.verify(manifest, tmp_path) == []


@pytest.mark.parametrize("status", [401, 403, 404])
def test_hub_that_refuses_for_good_is_asked_once(
    tmp_path: Path, contents: dict[str, bytes], hub: Hub, status: int
) -> None:
    hub.faults.status = status
    with pytest.raises(WeightsMissing, match=str(status)):
        _pull(_manifest(contents), tmp_path, hub)
    assert len(hub.seen) == 1


def test_hub_that_is_not_there_is_a_clear_error(tmp_path: Path, contents: dict[str, bytes]) -> None:
    with Hub({}) as gone:
        endpoint = gone.endpoint
    with pytest.raises(WeightsMissing, match="could not be fetched"):
        weights_hub.pull(
            _manifest(contents), tmp_path, convert, lambda _: None, endpoint=endpoint, pause_s=0.0
        )


def test_disk_without_room_is_refused_before_its_bytes(
    tmp_path: Path, contents: dict[str, bytes]
) -> None:
    huge = 1 << 60

    class Huge(bytes):
        def __len__(self) -> int:
            return huge

    with Hub({(REPO, REVISION, PATHS["taesd"]): Huge(b"x")}) as hub:
        manifest = _manifest({"taesd": contents["taesd"]}, size=huge)
        with pytest.raises(ScratchFull, match="do not fit"):
            _pull(manifest, tmp_path, hub)
        assert hub.bodies() == []


def test_token_goes_to_the_hub_and_to_nobody_else(
    tmp_path: Path, contents: dict[str, bytes], hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    _pull(_manifest({"taesd": contents["taesd"]}), tmp_path, hub)
    tokens = {seen.host: seen.token for seen in hub.seen}
    assert tokens["127.0.0.1"] == "Bearer hf_secret"
    assert tokens["localhost"] is None


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
    tensors = _published("taesd")
    first = next(iter(tensors))
    tensors["surplus"] = tensors.pop(first)
    source = tmp_path / "taesd.safetensors"
    source.write_bytes(save(tensors))
    with pytest.raises(WeightsMissing, match=rf"1 missing \({first}\); 1 unknown \(surplus\)"):
        convert("taesd", source, tmp_path / "out.safetensors", BUILDERS)
    assert not (tmp_path / "out.safetensors").exists()


def test_verify_finds_what_changed_on_disk(
    tmp_path: Path, contents: dict[str, bytes], hub: Hub
) -> None:
    manifest = _manifest(contents)
    _pull(manifest, tmp_path, hub)
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
    _pull(manifest, tmp_path, hub)
    assert weights_hub.verify(manifest, tmp_path) == []


def test_changed_pin_makes_the_old_file_count_as_missing(
    tmp_path: Path, contents: dict[str, bytes], hub: Hub
) -> None:
    _pull(_manifest(contents), tmp_path, hub)
    moved = _manifest(contents, sha256="1" * 64)
    with pytest.raises(WeightsMissing, match="another file than the pinned"):
        weights_hub.installed(moved, tmp_path, ["unet"])


def test_missing_weights_name_the_command(tmp_path: Path) -> None:
    with pytest.raises(WeightsMissing, match="`face2face weights pull musetalk`"):
        musetalk_weights.load(tmp_path, "cpu", torch.float32)


def test_hub_setting_of_the_environment_is_honoured(
    tmp_path: Path, contents: dict[str, bytes], hub: Hub
) -> None:
    (tmp_path / "manifest.json").write_text(_manifest(contents).model_dump_json())
    script = """
import shutil, sys
from pathlib import Path
from pipeline import weights_hub
root = Path(sys.argv[1])
manifest = weights_hub.read_manifest(root / "manifest.json")
weights_hub.pull(manifest, root, lambda _, old, new: shutil.copy(old, new), lambda _: None)
"""
    env = {**os.environ, "HF_ENDPOINT": hub.endpoint, "HF_HOME": str(tmp_path / "home")}
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=True, env=env, timeout=120)
    assert len(hub.bodies()) == len(contents)


@pytest.mark.parametrize("fast", [False, True])
def test_loading_needs_no_hub_and_gives_the_published_weights(
    tmp_path: Path, contents: dict[str, bytes], fast: bool
) -> None:
    manifest = _manifest(contents)
    with Hub({(REPO, REVISION, PATHS[n]): content for n, content in contents.items()}) as hub:
        _pull(manifest, tmp_path, hub)
    loaded = musetalk_weights.load(
        tmp_path, "cpu", torch.float32, fast, pinned=manifest, builders=BUILDERS
    )
    for name, network in (("unet", loaded.unet), ("vae", loaded.vae), ("whisper", loaded.whisper)):
        wanted = weights_for(BUILDERS[name](), SALT)
        assert all(torch.equal(wanted[key], value) for key, value in network.state_dict().items())
    assert (loaded.decoder is loaded.vae) is not fast


def test_manifest_takes_commits_and_whole_digests_only(contents: dict[str, bytes]) -> None:
    good = _manifest(contents).model_dump()
    for change in ({"revision": "main"}, {"revision": "abc123"}):
        bad = {**good, "sources": [{**good["sources"][0], **change}]}
        with pytest.raises(ValidationError):
            HubManifest.model_validate(bad)
    with pytest.raises(ValidationError):
        _manifest(contents, sha256="abc")


def test_published_manifest_pins_every_network_of_the_engine() -> None:
    manifest = musetalk_weights.manifest()
    assert sorted(manifest.pins()) == sorted(musetalk_weights.FAST_NETWORKS)
    assert all(source.licence and source.licence_url for source in manifest.sources)
    facts = musetalk_weights.facts(fast=False)
    assert [len(fact.sha256) for fact in facts] == [64, 64, 64]
