"""A second render of a video looks for no face, prepares nothing, and makes the same bits."""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import av
import pytest

from consumer.caches import weights_root
from pipeline.engines.viseme.engine import VisemeEngine
from pipeline.faces import track
from pipeline.render import render
from pipeline.types import AvatarFolder, RenderSpec, Tick
from pipeline.weights import use_weights_root
from schemas.render import RenderReport
from schemas.request import LabelOptions, RenderOptions
from tests.support.media import Tone, write_sound

VIDEO = Path(__file__).parents[3] / "consumer" / "demo_assets" / "reference.mp4"


@dataclass(frozen=True, slots=True)
class Made:
    """One finished render."""

    spec: RenderSpec
    report: RenderReport
    ticks: list[Tick]

    @property
    def pixels(self) -> str:
        digest = hashlib.sha256()
        with av.open(str(self.spec.output)) as container:
            for frame in container.decode(video=0):
                for plane in frame.planes:
                    digest.update(bytes(plane))
        return digest.hexdigest()

    @property
    def stages(self) -> set[str]:
        return {tick.stage for tick in self.ticks}


def make(folder: Path, name: str, cache: Path | None, **change: Any) -> Made:
    scratch = folder / name
    scratch.mkdir()
    spec = RenderSpec(
        audio=write_sound(scratch / "speech.wav", Tone(0.4, codec="pcm_s16le", rate=16_000)),
        video=VIDEO,
        output=scratch / "out.mp4",
        scratch=scratch,
        options=RenderOptions(label=LabelOptions(visible=False)),
        threads=1,
        avatars=AvatarFolder(cache, keep_free=0) if cache else None,
    )
    ticks: list[Tick] = []
    spec = replace(spec, **change)
    return Made(spec, render(spec, ticks.append), ticks)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    use_weights_root(weights_root())
    return tmp_path_factory.mktemp("twice")


@pytest.fixture(scope="module")
def first(folder: Path) -> Made:
    return make(folder, "first", folder / "cache")


def forbid(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> Any:
        raise AssertionError("a kept avatar was made anew")

    monkeypatch.setattr(track, "networks", refuse)
    monkeypatch.setattr(VisemeEngine, "prepare", refuse)


def test_the_second_render_skips_tracking_and_preparing_and_makes_the_same_bits(
    first: Made, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert first.report.avatar is not None
    assert not first.report.avatar.reused
    assert {"track", "prepare"} <= first.stages
    assert {"track", "prepare"} <= first.report.timings_ms.keys()
    forbid(monkeypatch)
    second = make(folder, "second", folder / "cache")
    assert second.report.avatar is not None
    assert (second.report.avatar.reused, second.report.avatar.track_reused) == (True, True)
    assert second.report.avatar.files == first.report.avatar.files
    assert second.stages == {"generate"}
    assert not {"track", "prepare"} & second.report.timings_ms.keys()
    assert second.pixels == first.pixels
    for told in ("quality", "spans", "face", "warnings"):
        assert getattr(second.report, told) == getattr(first.report, told)


def test_without_a_folder_the_bits_are_the_same_and_nothing_is_told(
    first: Made, folder: Path
) -> None:
    plain = make(folder, "plain", None)
    assert plain.report.avatar is None
    assert plain.pixels == first.pixels


def test_a_damaged_file_is_made_anew_and_replaced(
    first: Made, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = folder / "damaged"
    shutil.copytree(folder / "cache", cache)
    for path in cache.rglob("*.safetensors"):
        whole = bytearray(path.read_bytes())
        whole[-9] ^= 1
        path.write_bytes(whole)
    again = make(folder, "again", cache)
    assert again.report.avatar is not None
    assert not again.report.avatar.reused
    assert not again.report.avatar.track_reused
    assert again.pixels == first.pixels
    forbid(monkeypatch)
    healed = make(folder, "healed", cache)
    assert healed.report.avatar is not None
    assert healed.report.avatar.reused


def test_a_folder_that_cannot_be_used_costs_nothing_but_the_favour(
    first: Made, folder: Path
) -> None:
    blocked = folder / "blocked"
    blocked.write_text("no folder", encoding="utf-8")
    made = make(folder, "no-folder", blocked)
    assert made.report.avatar is not None
    assert made.report.avatar.files == []
    assert made.pixels == first.pixels


def test_the_track_serves_another_engine_revision(
    first: Made, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = folder / "engine-gone"
    shutil.copytree(folder / "cache", cache)
    for path in cache.rglob("viseme-*/*"):
        path.unlink()
    with monkeypatch.context() as patch:
        patch.setattr(track, "networks", None)
        made = make(folder, "track-only", cache)
    assert made.report.avatar is not None
    assert (made.report.avatar.reused, made.report.avatar.track_reused) == (False, True)
    assert "track" not in made.stages
    assert made.pixels == first.pixels
