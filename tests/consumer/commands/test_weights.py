"""`face2face weights` says where weights go, and why they cannot."""

from __future__ import annotations

from pathlib import Path

from tests.consumer.command_line import face2face, only_object


def test_a_checkpoint_of_the_user_s_own_cannot_be_pulled_and_its_folder_is_said(
    tmp_path: Path,
) -> None:
    done = face2face("weights", "pull", "wav2lip", env={"F2F_WEIGHTS_DIR": str(tmp_path)})
    assert done.returncode == 2
    assert f"put it into {tmp_path}/wav2lip" in done.stderr


def test_weights_that_cannot_be_kept_are_told_with_the_setting_of_their_folder(
    tmp_path: Path,
) -> None:
    taken = tmp_path / "taken"
    taken.write_bytes(b"")
    done = face2face("weights", "pull", "faces", "--json", env={"F2F_WEIGHTS_DIR": str(taken)})
    assert done.returncode == 2
    error = only_object(done.stdout)["error"]
    assert isinstance(error, dict)
    assert f"cannot be kept in {taken}" in error["message"]
    assert "F2F_WEIGHTS_DIR" in error["message"]
    assert "Traceback" not in done.stderr
