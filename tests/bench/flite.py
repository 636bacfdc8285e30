"""Speech of flite's voices, which were modelled on recordings of people, with its phones."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

from tests.bench.espeak import Said
from tests.bench.festival import read_samples

TAUGHT = ("awb", "rms")
"""A Scottish and an American man. Debian's package flite carries them."""
HELD_OUT = ("slt", "kal16")
"""The voices of the benchmark of closures; slt says the demo's words, too."""
_PAUSE = "pau"
_TIMEOUT_S = 60


def there() -> bool:
    """Is flite on this machine?"""
    return shutil.which("flite") is not None


def say(voice: str, text: str) -> Said:
    """Speak an English sentence."""
    with tempfile.TemporaryDirectory() as folder:
        sound = Path(folder, "said.wav")
        command = ["flite", "-voice", voice, "-psdur", "-t", text, "-o", str(sound)]
        told = subprocess.run(
            command, capture_output=True, timeout=_TIMEOUT_S, check=True, text=True
        ).stdout
        return Said(read_samples(sound), _phones(told))


def _phones(told: str) -> list[tuple[str, float, float]]:
    """Name, start and end of each word `name:end`."""
    out: list[tuple[str, float, float]] = []
    at = 0.0
    for word in told.split():
        name, _, end = word.rpartition(":")
        out.append(("#" if name == _PAUSE else name, at, float(end)))
        at = float(end)
    return out
