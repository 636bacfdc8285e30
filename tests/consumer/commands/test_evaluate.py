"""`face2face evaluate` as a script meets it: files that cannot be measured, by type and code."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from consumer.commands.evaluate import _show, _written
from consumer.local.console import CommandError
from schemas.codes import ErrorCode
from tests.consumer.command_line import error_of, face2face
from tests.support.media import Clip, write_clip


def refused(*arguments: str) -> dict[str, object]:
    """The error of a call that must end with exit code 2."""
    done = face2face("evaluate", *arguments, "--json")
    assert done.returncode == 2, done.stderr
    return error_of(done)


@pytest.mark.parametrize("option", ["--reference", "--audio", "--truth", "--syncnet"])
def test_a_file_that_is_not_there_is_named(tmp_path: Path, option: str) -> None:
    video = write_clip(tmp_path / "a.mp4", Clip(frames=2))
    error = refused(str(video), option, str(tmp_path / "none"))
    assert error["code"] == "INPUT_NOT_FOUND"
    assert option in str(error["message"])


def test_what_is_no_video_is_refused_with_its_type(tmp_path: Path) -> None:
    text = tmp_path / "text.mp4"
    text.write_text("no video")
    assert refused(str(text))["code"] == "INPUT_UNREADABLE"


def test_a_report_needs_a_folder(tmp_path: Path) -> None:
    video = str(write_clip(tmp_path / "a.mp4", Clip(frames=2)))
    error = refused(video, "--report", video)
    assert error["code"] == "INVALID_REQUEST"
    assert "--report" in str(error["message"])


def test_a_report_that_finds_no_room_leaves_no_folder_and_names_the_one(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "report"

    def write() -> Path:
        folder.mkdir(parents=True)
        (folder / "mouths.png").write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(CommandError) as refused:
        _written(write, folder)
    assert refused.value.error.code is ErrorCode.SCRATCH_FULL
    assert repr(str(folder)) in refused.value.error.message
    assert list(tmp_path.iterdir()) == []


def test_what_is_left_out_for_one_reason_is_said_in_one_line(
    capsys: pytest.CaptureFixture[str],
) -> None:
    left_out = {"lse_c": "needs --syncnet", "own_r": "not its sound", "lse_d": "needs --syncnet"}
    _show({"measures": {}, "labels": {"layers": {}}, "left_out": left_out})
    assert capsys.readouterr().err.splitlines() == [
        "left out, needs --syncnet: lse_c, lse_d",
        "left out, not its sound: own_r",
    ]
