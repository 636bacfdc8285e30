"""`face2face dev` warns of what is missing for its engine, and of nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from consumer.commands import dev
from consumer.local.embedded import EmbeddedFailed


@pytest.mark.parametrize(("engine", "warns"), [("viseme", True), ("duix", False)])
def test_missing_face_models_are_a_matter_of_the_engines_that_look_for_faces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, engine: str, warns: bool
) -> None:
    """Whoever had the Duix container alone was told to fetch models that nothing reads there."""

    def end(*_: Any, **__: Any) -> None:
        raise EmbeddedFailed("far enough")

    monkeypatch.setenv("F2F_WEIGHTS_DIR", str(tmp_path))
    monkeypatch.setenv("F2F_ENGINE", engine)
    monkeypatch.setattr(dev, "Playground", end)
    done = CliRunner().invoke(dev.dev, [])
    assert ("face2face weights pull faces" in done.stderr) is warns, done.output
