"""What the hub sends is the pinned file, whatever happens on the way; or it is not used."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline import hub_fetch, weights_hub
from pipeline.engines.musetalk.checkpoint import convert
from pipeline.errors import ScratchFull, WeightsMissing
from pipeline.hub_fetch import ATTEMPTS
from tests.pipeline.hub.published import PATHS, REPO, REVISION, manifest_of, pull
from tests.pipeline.hub.standin import Hub


def test_body_longer_than_the_pinned_file_ends_the_pull_at_once(
    tmp_path: Path, contents: dict[str, bytes], hub: Hub
) -> None:
    only = {"taesd": contents["taesd"]}
    hub.faults.surplus = [1]
    with pytest.raises(WeightsMissing, match=r"localhost.* sends more than the .*HF_ENDPOINT"):
        pull(manifest_of(only), tmp_path, hub)
    assert len(hub.bodies()) == 1
    assert list((tmp_path / "musetalk" / "downloads").iterdir()) == []


def test_broken_connection_is_continued_where_it_broke(
    tmp_path: Path, contents: dict[str, bytes], hub: Hub
) -> None:
    only = {"unet": contents["unet"]}
    hub.faults.cuts = [len(only["unet"]) // 3] * 2
    pull(manifest_of(only), tmp_path, hub)
    assert [seen.range is not None for seen in hub.bodies()] == [False, True, True]
    assert hub.sent == len(only["unet"])


def test_pull_that_gave_up_is_continued_by_the_next(
    tmp_path: Path, contents: dict[str, bytes], hub: Hub
) -> None:
    only = {"unet": contents["unet"]}
    manifest, kept = manifest_of(only), 1 << 16
    hub.faults.cuts = [kept] + [0] * ATTEMPTS
    with pytest.raises(WeightsMissing, match="what arrived is kept"):
        pull(manifest, tmp_path, hub)
    parts = (tmp_path / "musetalk" / "downloads").glob("*.part")
    assert [path.stat().st_size for path in parts] == [kept]
    hub.faults.cuts, hub.sent = [], 0
    hub.seen.clear()
    pull(manifest, tmp_path, hub)
    assert hub.bodies()[0].range == f"bytes={kept}-"
    assert hub.sent == len(only["unet"]) - kept


def test_server_that_ignores_ranges_still_gives_the_right_file(
    tmp_path: Path, contents: dict[str, bytes], hub: Hub
) -> None:
    only = {"taesd": contents["taesd"]}
    hub.faults.cuts, hub.faults.ignore_range = [1000], True
    manifest = manifest_of(only)
    pull(manifest, tmp_path, hub)
    assert weights_hub.verify(manifest, tmp_path) == []


def test_other_bytes_than_the_pinned_ones_are_deleted_and_not_used(
    tmp_path: Path, contents: dict[str, bytes], hub: Hub
) -> None:
    only = {"taesd": contents["taesd"]}
    manifest = manifest_of(only, sha256="0" * 64)
    with pytest.raises(WeightsMissing, match="it was deleted, not used") as caught:
        pull(manifest, tmp_path, hub)
    assert caught.value.detail["pinned"] == "0" * 64
    assert list((tmp_path / "musetalk" / "downloads").iterdir()) == []
    assert not (tmp_path / "musetalk" / "taesd.safetensors").exists()


def test_another_revision_is_refused_before_its_bytes(
    tmp_path: Path, contents: dict[str, bytes], hub: Hub
) -> None:
    hub.faults.revision = "f" * 40
    with pytest.raises(WeightsMissing, match="answered for revision ffffffff"):
        pull(manifest_of(contents), tmp_path, hub)
    assert hub.bodies() == []


def test_another_size_is_refused_before_its_bytes(
    tmp_path: Path, contents: dict[str, bytes], hub: Hub
) -> None:
    with pytest.raises(WeightsMissing, match="the manifest pins 7"):
        pull(manifest_of(contents, size=7), tmp_path, hub)
    assert hub.bodies() == []


@pytest.mark.parametrize(("status", "said"), [(404, "404"), (403, "403"), (500, "500")])
def test_hub_that_refuses_is_named_with_its_answer(
    tmp_path: Path, contents: dict[str, bytes], hub: Hub, status: int, said: str
) -> None:
    hub.faults.status = status
    with pytest.raises(WeightsMissing, match=said):
        pull(manifest_of(contents), tmp_path, hub)


def test_hub_that_is_busy_for_a_moment_is_asked_again(
    tmp_path: Path, contents: dict[str, bytes], hub: Hub
) -> None:
    hub.faults.busy = [503, 429, 502]
    manifest = manifest_of({"taesd": contents["taesd"]})
    pull(manifest, tmp_path, hub)
    assert weights_hub.verify(manifest, tmp_path) == []


@pytest.mark.parametrize("status", [401, 403, 404])
def test_hub_that_refuses_for_good_is_asked_once(
    tmp_path: Path, contents: dict[str, bytes], hub: Hub, status: int
) -> None:
    hub.faults.status = status
    with pytest.raises(WeightsMissing, match=str(status)):
        pull(manifest_of(contents), tmp_path, hub)
    assert len(hub.seen) == 1


def test_hub_that_is_not_there_is_a_clear_error(tmp_path: Path, contents: dict[str, bytes]) -> None:
    with Hub({}) as gone:
        hub = hub_fetch.Hub(gone.endpoint, 0.0)
    with pytest.raises(WeightsMissing, match="could not be fetched"):
        weights_hub.pull(manifest_of(contents), tmp_path, convert, lambda _: None, hub=hub)


def test_disk_without_room_is_refused_before_its_bytes(
    tmp_path: Path, contents: dict[str, bytes]
) -> None:
    huge = 1 << 60

    class Huge(bytes):
        def __len__(self) -> int:
            return huge

    with Hub({(REPO, REVISION, PATHS["taesd"]): Huge(b"x")}) as hub:
        manifest = manifest_of({"taesd": contents["taesd"]}, size=huge)
        with pytest.raises(ScratchFull, match="do not fit"):
            pull(manifest, tmp_path, hub)
        assert hub.bodies() == []


def test_token_goes_to_the_hub_and_to_nobody_else(
    tmp_path: Path, contents: dict[str, bytes], hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    pull(manifest_of({"taesd": contents["taesd"]}), tmp_path, hub)
    tokens = {seen.host: seen.token for seen in hub.seen}
    assert tokens["127.0.0.1"] == "Bearer hf_secret"
    assert tokens["localhost"] is None


def test_hub_setting_of_the_environment_is_honoured(
    tmp_path: Path, contents: dict[str, bytes], hub: Hub
) -> None:
    (tmp_path / "manifest.json").write_text(manifest_of(contents).model_dump_json())
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
