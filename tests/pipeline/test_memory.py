"""Memory does not grow with length: ten times the frames take no more than a tenth more."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.media import Clip, Tone, write_clip, write_sound

ROOT = Path(__file__).parents[2]

_COPY = """
import sys
from fractions import Fraction
from pathlib import Path
import torch
from pipeline.reading.decode import FrameReader
from pipeline.writing.coding import Coding
from pipeline.writing.encode import Encoder
from pipeline.reading.probe import probe_audio, probe_video
from pipeline.timeline import Timeline
from pipeline.types import Limits
from pipeline.writing.verify import verify
from schemas.request import RenderOptions
from tests.support.media import peak_mb
torch.set_num_threads(1)
clip, sound, scratch = map(Path, sys.argv[1:])
video = probe_video(clip, Limits(), RenderOptions())
audio = probe_audio(sound, Limits())
timeline = Timeline.fit(audio.duration, video.fps, video.frames)
out = scratch / (sound.stem + ".mp4")
reader = FrameReader(video, 1, scratch)
coding = Coding(video.width, video.height, timeline.fps, video.color, crf=30)
with Encoder(out, coding, audio=audio, frames=timeline.frames, metadata={}) as encoder:
    for frame in reader.read(timeline.source(n) for n in range(timeline.frames)):
        encoder.write(frame)
verify(out, timeline, audio)
print(peak_mb())
"""


def _peak(clip: Path, sound: Path, scratch: Path) -> int:
    done = subprocess.run(
        [sys.executable, "-c", _COPY, str(clip), str(sound), str(scratch)],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


@pytest.mark.slow
def test_ten_times_the_speech_takes_no_more_memory(tmp_path: Path) -> None:
    """Ping-pong over a clip of one group of pictures: seeks, blocks, encoder, muxer."""
    clip = write_clip(tmp_path / "clip.mp4", Clip(frames=100, gop=1000))
    tone = Tone(10.0, codec="pcm_s16le", rate=48_000)
    short = _peak(clip, write_sound(tmp_path / "short.wav", tone), tmp_path)
    tone = Tone(100.0, codec="pcm_s16le", rate=48_000)
    long = _peak(clip, write_sound(tmp_path / "long.wav", tone), tmp_path)
    assert long <= 1.1 * short
