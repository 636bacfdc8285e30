"""Whatever a prepared reference depends on changes its key, and its name with it."""

from __future__ import annotations

from dataclasses import fields, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from consumer.avatar_disk import NAME
from pipeline.avatars import key as keys
from pipeline.avatars.key import Key, engine_key, folders, track_key
from pipeline.types import Color, Limits, VideoFacts
from schemas.render import EngineFacts, WeightFacts
from schemas.request import FaceBox, RenderOptions

SHA = "ab" * 32
VIDEO = VideoFacts(
    path=Path("/a.mp4"),
    width=64,
    height=48,
    fps=Fraction(30000, 1001),
    frames=250,
    color=Color(1, False, 1, 1),
    codec="h264",
    rotation=0,
    variable_rate=False,
    still=False,
    has_audio=True,
)
OTHER: dict[str, Any] = {
    "width": 66,
    "height": 50,
    "fps": Fraction(30),
    "frames": 251,
    "color": Color(1, True, 1, 1),
    "codec": "hevc",
    "rotation": 90,
    "variable_rate": True,
    "still": True,
    "has_audio": False,
    "scale": 0.5,
    "source": Color(9, False, 9, 18),
}
ENGINE = EngineFacts(
    name="viseme",
    version="1",
    revision="r/1",
    weights=[WeightFacts(name="w", revision="1", sha256="cd")],
)


def track(**change: Any) -> Key:
    values: dict[str, Any] = {
        "sha256": SHA,
        "video": VIDEO,
        "frames": 100,
        "options": RenderOptions(),
        "limits": Limits(),
        "device": "cpu",
    }
    return track_key(**{**values, **change})


def test_the_same_inputs_have_the_same_key_wherever_the_file_lies() -> None:
    assert track() == track(video=replace(VIDEO, path=Path("/b/c.mp4")))
    assert track() == track(limits=Limits(probe_timeout_s=99))
    assert track() == track(options=RenderOptions(crf=30, fps="25", transcript="other words"))


@pytest.mark.parametrize("name", sorted(OTHER))
def test_every_fact_of_the_picture_counts(name: str) -> None:
    assert set(OTHER) == {each.name for each in fields(VideoFacts)} - {"path"}
    other = track(video=replace(VIDEO, **{name: OTHER[name]}))
    assert other.facts != track().facts
    assert other.name != track().name


@pytest.mark.parametrize(
    "change",
    [
        {"sha256": "ac" * 32},
        {"frames": 101},
        {"options": RenderOptions(max_height=64)},
        {"options": RenderOptions(face=FaceBox(box=(0, 0, 1, 1)))},
        *(
            {"limits": replace(Limits(), **{f.name: 7})}
            for f in fields(Limits)
            if f.name != "probe_timeout_s"
        ),
    ],
    ids=str,
)
def test_every_choice_and_limit_counts(change: dict[str, Any]) -> None:
    assert track(**change).facts != track().facts
    assert track(**change).name != track().name


def test_another_release_machine_or_library_has_other_folders(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = track().name
    for name, value in (("_machine", "cpu AVX9"), ("_version", "9.9")):
        with monkeypatch.context() as patch:
            keys.lineage.cache_clear()
            patch.setattr(keys, name, lambda *_, value=value: value)
            assert track().name != before
    keys.lineage.cache_clear()
    assert track().name == before


def test_another_gpu_or_cuda_has_other_folders(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def named(model: str, cuda: str) -> str:
        def name(device: str) -> str:
            asked.append(device)
            return model

        monkeypatch.setattr("torch.cuda.get_device_name", name)
        monkeypatch.setattr("torch.version.cuda", cuda)
        keys.lineage.cache_clear()
        return track(device="cuda:1").name

    names = [named(*kind) for kind in (("H100", "12.8"), ("H200", "12.8"), ("H100", "13.0"))]
    again = named("H100", "12.8")
    keys.lineage.cache_clear()
    assert len({*names, track().name}) == 4
    assert again == names[0]
    assert set(asked) == {"cuda:1"}, "the name of the job's own device is asked for"


def test_libraries_that_hold_weights_or_kernels_count_and_tools_do_not() -> None:
    found = keys._libraries()
    assert {"torch", "av", "numpy", "hama", "pocketsphinx", "diffusers"} <= set(found)
    assert not {"pytest", "ruff", "mypy"} & set(found)


@pytest.mark.parametrize("place", ["pipeline/faces", "schemas"])
def test_one_changed_line_of_code_or_contracts_is_another_lineage(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    roots = [tmp_path / root.name for root in keys._ROOTS]
    assert [root.name for root in roots] == ["pipeline", "schemas"]
    (tmp_path / place).mkdir(parents=True)
    code = tmp_path / place / "a.py"
    found = []
    monkeypatch.setattr(keys, "_ROOTS", roots)
    for text in ("EVERY = 5", "EVERY = 6"):
        code.write_text(text, encoding="utf-8")
        keys.lineage.cache_clear()
        found.append(keys.lineage("cpu"))
    keys.lineage.cache_clear()
    assert found[0] != found[1]


def test_an_engines_part_belongs_to_one_track_one_revision_and_one_set_of_weights() -> None:
    base = engine_key(track(), "content", ENGINE, 1)
    weights = [WeightFacts(name="w", revision="1", sha256="ce")]
    others = [
        engine_key(track(frames=101), "content", ENGINE, 1),
        engine_key(track(), "other", ENGINE, 1),
        engine_key(track(), "content", ENGINE, 2),
        *(
            engine_key(track(), "content", ENGINE.model_copy(update=change), 1)
            for change in ({"name": "x"}, {"version": "2"}, {"revision": "2"}, {"weights": weights})
        ),
    ]
    assert len({each.name for each in [base, *others]}) == 8


def test_names_are_keys_that_the_service_takes_and_finds_in_its_folders() -> None:
    told = folders([ENGINE], "cpu")["viseme"]
    for key in (track(), engine_key(track(), "content", ENGINE, 1)):
        match = NAME.fullmatch(key.name)
        assert match is not None
        assert match["video"] == SHA
        assert match["part"] in told
