"""A long speech is heard in blocks: as if it were heard whole, and in room that hardly grows."""

from __future__ import annotations

import subprocess
import sys
import wave
from pathlib import Path

import pytest
import torch
from torch import Tensor

from pipeline.speech import cues, dips, grid, mel
from pipeline.speech.activity import activity
from pipeline.speech.denoise import noisy
from pipeline.speech.mouth import Hearing, MouthCurve, plan_heard
from pipeline.speech.phones import PhoneSpan
from pipeline.speech.recogniser import recognise
from tests.pipeline.speech.sounds import demo, tone

ROOT = Path(__file__).parents[3]
WHOLE = 10**9
PER_SECOND = 300_000
"""Bytes that a second of speech may take while it is heard: samples are 64,000, the network's inner
outputs 28,800, log-mel 16,000, and each curve 400. Heard whole, it took 600,000."""
NOISY_PER_SECOND = 420_000
"""Half of the samples' room again for those without noise, and what lies between."""

_PEAK = """
import sys
import wave
from fractions import Fraction
from pathlib import Path
import torch
from pipeline.allocator import keep_freed_memory
from pipeline.reading.audio import load_speech
from pipeline.speech.recognise_ahead import recognised_ahead
from pipeline.speech.cues import cues
from pipeline.speech.mouth import listen, plan_heard
from pipeline.types import Limits
from tests.support.media import peak_mb
torch.set_num_threads(1)
keep_freed_memory()
for path in sys.argv[1:]:
    with torch.inference_mode(), recognised_ahead(load_speech(Path(path), Limits())) as speech:
        heard = listen(speech)
        cues(heard, plan_heard(heard))
    print(peak_mb())
"""


def _write(path: Path, samples: Tensor) -> None:
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, grid.RATE, 0, "NONE", ""))
        file.writeframes((samples * 32767).to(torch.int16).numpy().tobytes())


def _long(seconds: float) -> Tensor:
    """The demo's speech again and again, louder and softer."""
    once = demo().samples
    times = int(seconds * grid.RATE / len(once)) + 1
    return torch.cat([once * (0.4 + 0.6 * (n % 3) / 2) for n in range(times)])


@pytest.fixture(scope="module")
def heard() -> Hearing:
    samples = _long(130)
    log_mel, level = mel.hear(samples)
    active = activity(level)
    names = ("AH", "M", "IY", "F", "S", "P") * 230
    spans = [PhoneSpan(name, n / 10, (n + 1) / 10) for n, name in enumerate(names)]
    return Hearing(log_mel, level, active, spans, torch.zeros(288, 0, dtype=torch.float16))


def _all(heard: Hearing) -> tuple[MouthCurve, Tensor]:
    curve = plan_heard(heard)
    return curve, cues.cues(heard, curve)


def test_two_minutes_are_planned_in_blocks_as_if_at_once(
    heard: Hearing, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert heard.level.numel() > 2 * grid.BLOCK
    curve, cue = _all(heard)
    for module in (grid, dips):
        monkeypatch.setattr(module, "BLOCK", WHOLE)
    at_once, whole = _all(heard)
    assert curve.closures == at_once.closures
    assert torch.allclose(cue, whole, atol=1e-5)
    for name in ("openness", "width", "jaw", "activity", "rest", "cap"):
        assert torch.allclose(getattr(curve, name), getattr(at_once, name), atol=1e-5), name


def test_two_minutes_are_listened_to_in_blocks_as_if_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    samples = _long(70)
    log_mel, level = mel.hear(samples)
    monkeypatch.setattr(mel, "_BLOCK", WHOLE)
    whole_mel, whole_level = mel.hear(samples)
    assert torch.allclose(log_mel, whole_mel, atol=1e-3)
    assert torch.allclose(level, whole_level, atol=1e-4)
    assert torch.equal(mel.hear_level(samples), whole_level)


def test_the_networks_outputs_lie_at_their_time_in_every_block() -> None:
    """Blocks are cut in pauses: each repetition of the same words is heard alike."""
    once = torch.cat([demo().samples, torch.zeros(grid.RATE // 2)])
    once = once[: len(once) // 320 * 320]
    samples = once.repeat(5)
    level = mel.hear_level(samples)
    heard = recognise(samples, level)
    frames = len(once) // 320
    assert heard.hidden.shape == (288, -(-level.numel() // 2))
    first, last = heard.hidden[:, :frames].float(), heard.hidden[:, 4 * frames : 5 * frames].float()
    pair = torch.stack([first.flatten(), last.flatten()])
    assert float(torch.corrcoef(pair)[0, 1]) > 0.99


@pytest.mark.parametrize(
    ("pauses", "per_second"),
    [pytest.param(True, PER_SECOND, id="clean"), pytest.param(False, NOISY_PER_SECOND, id="noisy")],
)
def test_four_minutes_take_no_more_than_their_samples_and_curves(
    pauses: bool, per_second: int, tmp_path: Path
) -> None:
    paths = [tmp_path / f"{seconds}.wav" for seconds in (25, 240)]
    for path in paths:
        samples = tone(float(path.stem), 220.0)
        if pauses:
            samples[torch.arange(len(samples)) // grid.RATE % 2 == 1] = 0
        assert noisy(samples, mel.hear_level(samples)) is not pauses
        _write(path, samples)
    done = subprocess.run(
        [sys.executable, "-c", _PEAK, *map(str, paths)],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stderr
    short, long = map(int, done.stdout.split())
    assert long - short <= per_second * (240 - 25) / 2**20
