"""What `face2face demo` and `dev` say before they begin, and at their end."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import pytest

from consumer.commands import demo
from consumer.local.console import FAILED, program
from tests.consumer.command_line import error_of, face2face


def test_without_face_models_the_demo_names_the_command_before_it_starts_anything(
    tmp_path: Path,
) -> None:
    env = {"F2F_WEIGHTS_DIR": str(tmp_path / "none")}
    done = face2face("demo", "--json", "-o", str(tmp_path / "out.mp4"), env=env)
    assert done.returncode == FAILED
    error = error_of(done)
    assert error["code"] == "WEIGHTS_MISSING"
    assert "face2face weights pull faces" in error["message"]
    assert "starting" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_the_command_that_follows_can_be_typed_whatever_the_folders_are_called(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(sys, "executable", "/my programs/bin/python")
    output = Path("it's mine/demo é.mp4")
    demo._farewell(output, "job", 1.0, as_json=False)
    said = capsys.readouterr().err
    (line,) = [line for line in said.splitlines() if " inspect " in line]
    words = shlex.split(line)
    assert words[:3] == ["/my programs/bin/face2face", "inspect", str(output)]
    assert words[3:] == ["--audio", str(demo.AUDIO)]
    assert shlex.split(program()) == ["/my programs/bin/face2face"]
