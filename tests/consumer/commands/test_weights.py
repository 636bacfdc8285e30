"""`face2face weights` says where weights go, and why they cannot."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from consumer.commands.weights import _writing
from consumer.local.console import CommandError
from schemas.codes import ErrorCode
from tests.consumer.command_line import error_of, face2face


def test_a_checkpoint_of_the_user_s_own_cannot_be_pulled_and_its_folder_is_said(
    tmp_path: Path,
) -> None:
    done = face2face("weights", "pull", "wav2lip", env={"F2F_WEIGHTS_DIR": str(tmp_path)})
    assert done.returncode == 2
    assert f"put it into {tmp_path}/wav2lip" in done.stderr


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_weights_that_do_not_fit_are_told_with_the_setting_of_their_folder(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("F2F_WEIGHTS_DIR", str(tmp_path))
    with pytest.raises(CommandError) as full, _writing():
        raise OSError(number, os.strerror(number))
    assert full.value.error.code is ErrorCode.SCRATCH_FULL
    assert f"do not fit into {tmp_path}" in full.value.error.message
    assert full.value.error.message.endswith("F2F_WEIGHTS_DIR to a folder on another disk")


def test_weights_that_cannot_be_kept_are_told_with_the_setting_of_their_folder(
    tmp_path: Path,
) -> None:
    taken = tmp_path / "taken"
    taken.write_bytes(b"")
    done = face2face("weights", "pull", "faces", "--json", env={"F2F_WEIGHTS_DIR": str(taken)})
    assert done.returncode == 2
    error = error_of(done)
    assert f"cannot be kept in {taken}" in error["message"]
    assert "F2F_WEIGHTS_DIR" in error["message"]
    assert "Traceback" not in done.stderr
