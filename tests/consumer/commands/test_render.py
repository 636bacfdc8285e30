"""What `face2face render` keeps of a reference, and where."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from consumer.commands import render as command_module
from consumer.commands.render import _named_room, render
from consumer.commands.submit import submit
from consumer.local.console import CommandError
from pipeline.errors import ScratchFull
from pipeline.types import RenderSpec
from schemas.codes import ErrorCode, Stage


class Seen(Exception):
    """The render is not what is tested."""


said: list[str] = []
"""What the commands of `spec_of` said, the last one last."""


def spec_of(monkeypatch: pytest.MonkeyPatch, folder: Path, *arguments: str) -> RenderSpec:
    """The order that the command line gives to the pipeline."""
    seen: list[RenderSpec] = []

    def note(spec: RenderSpec) -> Any:
        seen.append(spec)
        raise Seen

    monkeypatch.setattr(command_module, "_render_with_progress", note)
    for name in ("a.wav", "v.mp4"):
        (folder / name).write_bytes(b"x")
    inputs = ["--audio", str(folder / "a.wav"), "--video", str(folder / "v.mp4")]
    done = CliRunner().invoke(render, [*inputs, "-o", str(folder / "o.mp4"), *arguments])
    assert isinstance(done.exception, Seen), done.output
    said.append(done.output)
    return seen[0]


def test_a_container_that_does_not_answer_is_said_before_it_is_waited_for(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DUIX_INTERNAL_URL", "http://127.0.0.1:9")
    spec_of(monkeypatch, tmp_path)
    assert said.pop() == ""
    spec_of(monkeypatch, tmp_path, "--engine", "duix")
    assert "warning: the Duix service at http://127.0.0.1:9" in said[-1]
    assert "waited for" in said.pop()


def test_prepared_references_are_kept_in_the_users_cache_within_a_bound(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("F2F_AVATAR_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("F2F_AVATAR_BYTES", "1000")
    kept = spec_of(monkeypatch, tmp_path).avatars
    assert kept is not None
    assert kept.path == tmp_path / "cache" / "face2face" / "avatars"
    assert kept.max_bytes == 500
    monkeypatch.setenv("F2F_AVATAR_DIR", str(tmp_path / "mine"))
    elsewhere = spec_of(monkeypatch, tmp_path).avatars
    assert elsewhere is not None
    assert elsewhere.path == tmp_path / "mine"


def test_nothing_is_kept_by_flag_or_by_setting(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert spec_of(monkeypatch, tmp_path, "--no-avatar-cache").avatars is None
    monkeypatch.setenv("F2F_AVATAR_BYTES", "0")
    assert spec_of(monkeypatch, tmp_path).avatars is None


@pytest.mark.parametrize("command", [render, submit])
def test_an_output_that_would_destroy_something_is_refused_before_any_work(
    command: click.Command, tmp_path: Path
) -> None:
    audio, video, link = (tmp_path / name for name in ("a.wav", "v.mp4", "link.mp4"))
    audio.write_bytes(b"speech")
    video.write_bytes(b"face")
    link.symlink_to(video)
    os.mkfifo(tmp_path / "fifo")
    for output in (audio, video, link, tmp_path / "fifo", tmp_path):
        done = CliRunner().invoke(
            command, ["--audio", str(audio), "--video", str(video), "-o", str(output)]
        )
        assert isinstance(done.exception, CommandError), done.output
        assert str(output) in str(done.exception)
    assert (audio.read_bytes(), video.read_bytes()) == (b"speech", b"face")


def test_folders_on_the_way_to_an_output_that_never_comes_go_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "there").mkdir()
    spec_of(monkeypatch, tmp_path, "-o", str(tmp_path / "there" / "made" / "deep" / "o.mp4"))
    assert list((tmp_path / "there").iterdir()) == []


@pytest.mark.parametrize(("name", "said"), [("o.webm", True), ("o.MP4", False), ("o", False)])
def test_a_name_of_another_kind_is_said_to_become_an_mp4(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    name: str,
    said: bool,
) -> None:
    said_lines: list[str] = []
    monkeypatch.setattr(command_module, "say", said_lines.append)
    spec_of(monkeypatch, tmp_path, "-o", str(tmp_path / name))
    assert bool(said_lines) is said
    assert all("will be an MP4" in line for line in said_lines)


def test_a_render_without_room_names_the_folder_of_its_output(tmp_path: Path) -> None:
    with pytest.raises(CommandError) as refused, _named_room(tmp_path):
        raise ScratchFull("scratch disk is full", stage=Stage.ENCODE)
    assert refused.value.error.code is ErrorCode.SCRATCH_FULL
    assert repr(str(tmp_path)) in refused.value.error.message


def test_libraries_that_a_limit_of_memory_keeps_out_are_said_with_that_limit(
    tmp_path: Path,
) -> None:
    """`ulimit -v` ended in a traceback of the loader."""
    there = tmp_path / "there"
    there.touch()
    words = (sys.executable, "-m", "consumer.cli", "render", "--audio", there, "--video", there)
    command = shlex.join([*map(str, words), "-o", "o.mp4"])
    done = subprocess.run(
        ["sh", "-c", f"ulimit -v 400000; exec {command}"],
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    assert done.stderr.startswith("OUT_OF_MEMORY (probe): "), done.stderr
    assert "409600000 bytes of addresses; raise `ulimit -v`" in done.stderr
