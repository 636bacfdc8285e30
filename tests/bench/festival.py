"""Speech cut from recordings of people, whose phones are known, by festival's diphone voices."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import wave
from pathlib import Path

import numpy as np
import torch

from tests.bench.espeak import Said, resampled

TAUGHT = {
    "czech_ph": ("cs", "iso-8859-2"),
    "czech_dita": ("cs", "iso-8859-2"),
    "czech_machac": ("cs", "iso-8859-2"),
    "czech_krb": ("cs", "iso-8859-2"),
    "upc_ca_ona_hts": ("ca", "iso-8859-1"),
}
"""Language and encoding of the voices that teach; Debian's packages festvox-czech-* and
festvox-ca-ona-hts carry them."""
HELD_OUT = {
    "kal_diphone": ("en-us", "ascii"),
    "ked_diphone": ("en-us", "ascii"),
    "cmu_us_slt_arctic_hts": ("en-us", "ascii"),
    "lp_diphone": ("it", "iso-8859-1"),
    "pc_diphone": ("it", "iso-8859-1"),
    "hindi_NSK_diphone": ("hi", "utf-8"),
    "hy_fi_mv_diphone": ("fi", "iso-8859-1"),
    "suo_fi_lj_diphone": ("fi", "iso-8859-1"),
    "msu_ru_nsh_clunits": ("ru", "utf-8"),
}
"""The same for the voices of the benchmark of closures."""
PAUSES = ("pau", "#", "##", "_", "H#")
_TIMEOUT_S = 60


def there() -> bool:
    """Is festival on this machine?"""
    return shutil.which("festival") is not None


def say(voice: str, encoding: str, text: str) -> Said | None:
    """Speak a sentence; None where the voice is not there.

    Args:
        voice: of festival.
        encoding: what the voice reads.
        text: without quotes.
    """
    with tempfile.TemporaryDirectory() as folder:
        sound, segments = Path(folder, "said.wav"), Path(folder, "said.lab")
        script = Path(folder, "say.scm")
        script.write_bytes(
            f'(voice_{voice})\n(set! said (utt.synth (Utterance Text "{text}")))\n'
            f'(utt.save.wave said "{sound}" \'riff)\n'
            f'(utt.save.segs said "{segments}")\n'.encode(encoding, "replace")
        )
        command = ["festival", "-b", str(script)]
        subprocess.run(command, capture_output=True, timeout=_TIMEOUT_S, check=False)
        if not segments.exists():
            return None
        return Said(read_samples(sound), _phones(segments.read_text("iso-8859-1")))


def read_samples(path: Path) -> torch.Tensor:
    """The samples of a 16-bit WAV, (N,) at 16 kHz."""
    with wave.open(str(path)) as file:
        data = np.frombuffer(file.readframes(file.getnframes()), dtype="<i2")
        rate = file.getframerate()
    return resampled(torch.from_numpy(data.astype(np.float32) / 32768), rate)


def _phones(segments: str) -> list[tuple[str, float, float]]:
    """Name, start and end of each line `end color name`."""
    out: list[tuple[str, float, float]] = []
    at = 0.0
    for line in segments.splitlines():
        fields = line.split()
        if len(fields) == 3:
            end = float(fields[0])
            out.append(("#" if fields[2] in PAUSES else fields[2], at, end))
            at = end
    return out
