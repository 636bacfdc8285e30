"""Files that cannot be read, and outputs that cannot be written, are said before any work."""

from __future__ import annotations

import ctypes
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from consumer.local.console import CommandError
from consumer.local.files import check_output, existing, why_unreadable
from consumer.local.options import build_options
from schemas.codes import ErrorCode

LONG = "a" * 300
NOBODY = 65_534


@contextmanager
def as_somebody_else() -> Iterator[None]:
    """Root may read and write everything; everybody else is who this is about.

    For this thread alone: `seteuid` interrupts all others by a signal that none can block, and the
    embedded broker's thread ends by one.
    """
    libc = ctypes.CDLL(None)
    before = os.geteuid()
    if before == 0:
        libc.setfsuid(NOBODY)
    try:
        yield
    finally:
        libc.setfsuid(before)


@pytest.fixture
def closed(tmp_path: Path) -> Iterator[Path]:
    """A folder that nobody may enter, with a file."""
    folder = tmp_path / "closed"
    folder.mkdir()
    (folder / "a.wav").write_bytes(b"x")
    for above in (tmp_path, *tmp_path.parents[:2]):  # pytest's own are closed to others, too
        above.chmod(0o755)
    folder.chmod(0)
    yield folder
    folder.chmod(0o700)


@pytest.mark.parametrize(
    ("name", "why"),
    [(".", "is a folder"), ("none.wav", "does not exist"), ("pipe", "is no regular file")],
)
def test_why_a_path_is_no_file_is_said(tmp_path: Path, name: str, why: str) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert why_unreadable(tmp_path / name) == why


@pytest.mark.parametrize("location", ["s3://bucket/a.wav", "https://host/a.wav"])
def test_a_location_in_the_place_of_a_file_is_called_one(location: str) -> None:
    with pytest.raises(CommandError, match="is a location, and this command takes files"):
        existing(Path(location), "--audio")
    with pytest.raises(CommandError, match=re.escape(f"--audio {location!r} is")):
        existing(Path(location), "--audio")


def test_a_dash_is_no_file_and_no_name_for_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CommandError, match="'-' is no file; put what a pipe brings into one"):
        existing(Path("-"), "--audio")
    with pytest.raises(CommandError, match="'-' is no file, and nothing is written into a pipe"):
        check_output(Path("-"))
    Path("-").touch()
    assert why_unreadable(Path("-")) is None, "somebody has a file of that name"


@pytest.mark.parametrize("name", [LONG, "missing.wav", "."])
def test_a_path_that_is_no_file_is_said_with_its_option(tmp_path: Path, name: str) -> None:
    with pytest.raises(CommandError, match="--audio") as refused:
        existing(tmp_path / name, "--audio")
    assert refused.value.error.code is ErrorCode.INPUT_NOT_FOUND
    assert refused.value.error.detail["path"] == str(tmp_path / name)


def test_a_file_out_of_reach_is_said_with_the_systems_reason(closed: Path) -> None:
    with as_somebody_else():
        assert why_unreadable(closed / "a.wav") == "cannot be read: Permission denied"
    closed.chmod(0o755)
    (closed / "a.wav").chmod(0)
    with as_somebody_else():
        assert why_unreadable(closed / "a.wav") == "cannot be read: Permission denied"


def test_an_output_out_of_reach_is_refused_before_any_work(tmp_path: Path, closed: Path) -> None:
    closed.chmod(0o555)
    (tmp_path / "file").write_bytes(b"x")
    with as_somebody_else():
        for output in (closed / "o.mp4", closed / "new" / "o.mp4"):
            with pytest.raises(CommandError, match="which you may not write into"):
                check_output(output)
    with pytest.raises(CommandError, match="is no folder"):
        check_output(tmp_path / "file" / "o.mp4")
    with pytest.raises(CommandError, match="File name too long"):
        check_output(tmp_path / LONG)
    check_output(tmp_path / "new" / "deep" / "o.mp4")


def test_a_wrong_value_is_repeated_as_far_as_one_can_read_it() -> None:
    with pytest.raises(CommandError) as refused:
        build_options({"transcript": "w" * 50_000})
    assert len(str(refused.value)) < 300
    assert "50002 characters" in str(refused.value)
    with pytest.raises(CommandError, match=r"fps = '-5': fps '-5' is outside 1 to 120"):
        build_options({"fps": "-5"})


@pytest.mark.parametrize("box", ["nan,0,1,1", "0,0,inf,1", "0,0,1e400,1"])
def test_a_box_of_no_numbers_is_refused(box: str) -> None:
    with pytest.raises(CommandError, match="finite"):
        build_options({"face": box})
