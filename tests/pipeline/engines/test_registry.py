"""Engines by name."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.engines import registry
from pipeline.errors import UnknownEngine, WeightsMissing
from schemas.engines import ENGINES


def test_unknown_engine_is_refused_by_name_with_the_known_ones() -> None:
    with pytest.raises(UnknownEngine, match=r"'nosuch'.*viseme.*musetalk.*wav2lip") as caught:
        registry.create("nosuch", "cpu", 1)
    assert caught.value.detail["known"] == list(registry.NAMES)


def test_the_names_that_settings_may_say_are_those_that_can_be_made() -> None:
    assert registry.NAMES == ENGINES


def test_default_engine_comes_first_and_works_without_weights_of_its_own() -> None:
    assert registry.NAMES[0] == "viseme"
    assert registry.create("viseme", "cpu", 1).facts.name == "viseme"


def test_engine_without_its_weights_says_how_to_get_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "weights_root", lambda: tmp_path)
    with pytest.raises(WeightsMissing, match="wav2lip"):
        registry.create("wav2lip", "cpu", 1)
    with pytest.raises(WeightsMissing, match="musetalk"):
        registry.create("musetalk", "cpu", 1)
    names = [facts.name for facts in registry.available()]
    assert not {"wav2lip", "musetalk", "musetalk-fast"} & set(names)
    lacks = registry.missing()
    assert set(lacks) | set(names) == set(registry.NAMES)
    assert "run `face2face weights pull musetalk`" in lacks["musetalk-fast"].message


def test_without_the_face_models_no_engine_is_told_to_be_here_but_the_container_s(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "weights_root", lambda: tmp_path)
    assert [facts.name for facts in registry.available()] == ["duix"]
    assert "run `face2face weights pull faces`" in registry.missing()["viseme"].message


def test_nobody_is_told_to_pull_a_checkpoint_that_is_the_user_s_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "weights_root", lambda: tmp_path)
    told = registry.missing()["wav2lip"].error_facts().message
    assert f"one checkpoint of yours in {tmp_path / 'wav2lip'}" in told
    assert "weights pull" not in told


def test_neural_engines_are_imported_only_when_asked_for() -> None:
    code = (
        "import sys; from pipeline.engines import registry;"
        "registry.create('viseme', 'cpu', 1);"
        "print([n for n in sys.modules if 'musetalk' in n or 'wav2lip' in n])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
    )
    assert done.stdout.strip() == "[]"


def test_only_large_networks_on_the_host_spread_an_operator_over_threads() -> None:
    assert registry.operator_threads("viseme", "cpu", 8) == 1
    assert registry.operator_threads("wav2lip", "cuda", 8) == 1
    assert registry.operator_threads("wav2lip", "cpu", 8) == 8
    assert registry.operator_threads("wav2lip", "cpu", 0) == 1
