"""An MP4 is closed whole, or is not there."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest
import torch

from pipeline.errors import EngineFailed, OutputInvalid
from pipeline.types import AudioFacts, Frame
from tests.pipeline.writing.calls import encoder, frame_of, speech


def _fail_in_the_middle(path: Path, audio: AudioFacts) -> None:
    with encoder(path, audio, 25) as out:
        for number in range(10):
            out.write(frame_of(number))
        assert path.exists()
        raise RuntimeError("stop")


def test_leaving_by_an_error_leaves_no_file(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    with pytest.raises(RuntimeError, match="stop"):
        _fail_in_the_middle(path, speech(tmp_path, 1.0))
    assert not path.exists()


def test_another_number_of_frames_than_planned_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    with pytest.raises(OutputInvalid), encoder(path, speech(tmp_path, 1.0), 25) as out:
        out.write(frame_of(0))
    assert not path.exists()


def test_a_frame_of_another_size_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    with pytest.raises(EngineFailed), encoder(path, speech(tmp_path, 1.0), 25) as out:
        out.write(frame_of(0, 96, 64))
    assert not path.exists()


def test_closing_twice_is_allowed(tmp_path: Path) -> None:
    out = encoder(tmp_path / "out.mp4", speech(tmp_path, 0.04), 1)
    with out:
        out.write(frame_of(0))
        out.close()
        out.close()
    assert (tmp_path / "out.mp4").exists()


def test_a_frame_may_be_a_view_and_is_not_written_into(tmp_path: Path) -> None:
    big = frame_of(3, 384, 256)
    view = Frame(big.y[:128, 96:288], big.u[:64, 48:144], big.v[:64, 48:144], 0)
    before = big.y.clone()
    with encoder(tmp_path / "out.mp4", speech(tmp_path, 0.04), 1, crf=1) as out:
        out.write(view)
    assert torch.equal(big.y, before)
    with av.open(str(tmp_path / "out.mp4")) as container:
        got = next(container.decode(video=0)).to_ndarray()[:128]
    assert np.abs(got.astype(int) - view.y.numpy()).max() <= 3


_FULL_DISK = """
import sys
from fractions import Fraction
from pathlib import Path
from pipeline.sandbox import limit_process
from pipeline.types import Limits
from pipeline.reading.probe import probe_audio
from tests.pipeline.writing.calls import encode
folder = Path(sys.argv[1])
audio = probe_audio(folder / "speech-16000.wav", Limits())
limit_process(max_file_bytes=20_000)
try:
    encode(folder / "out.mp4", audio, 200, crf=1)
except OSError as error:
    print(type(error).__name__, error.errno, (folder / "out.mp4").exists())
"""


@pytest.mark.slow
def test_a_disk_that_takes_no_more_is_an_os_error(tmp_path: Path) -> None:
    speech(tmp_path, 8.0)
    done = subprocess.run(
        [sys.executable, "-c", _FULL_DISK, str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[3],
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[1:] == ["27", "False"], done.stdout  # EFBIG
