"""WAV is read whole whatever its header says of its size, and not a sample more."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import MediaLimitExceeded
from pipeline.reading import wav_size
from pipeline.reading.audio import load_speech
from pipeline.reading.probe import probe_audio
from pipeline.types import Limits

RATE = 16_000
PCM = (0.3 * np.sin(np.arange(4 * RATE) / 8) * 32767).astype("<i2").tobytes()
SIZE = len(PCM)
TAGS = b"LIST" + struct.pack("<I", 26) + b"INFOISFT" + struct.pack("<I", 14) + b"recorder 1.0\0\0"
PIPE = 0x7FFFF000
"""What a sound editor states of sound that it writes into a pipe."""


def wav(folder: Path, size: int, *, fact: int | None = None, tail: bytes = b"") -> Path:
    """Four seconds with a header that states so many bytes, and so many samples."""
    known = b"" if fact is None else b"fact" + struct.pack("<II", 4, fact)
    form = b"fmt " + struct.pack("<IHHIIHH", 16, 1, 1, RATE, 2 * RATE, 2, 16) + known
    body = b"WAVE" + form + b"data" + struct.pack("<I", size) + PCM + tail
    path = folder / "speech.wav"
    path.write_bytes(b"RIFF" + struct.pack("<I", (len(body) - len(PCM) + size) % 2**32) + body)
    return path


@pytest.mark.parametrize(
    "size", [0, 36, 4096, SIZE // 2, SIZE // 2 + 1, PIPE, 2**32 - 1, 2**32 - 8]
)
def test_sound_is_read_to_its_end_whatever_size_the_header_states(
    tmp_path: Path, size: int
) -> None:
    path = wav(tmp_path, size)
    assert probe_audio(path, Limits()).duration == 4
    assert load_speech(path, Limits()).duration == 4


@pytest.mark.parametrize("fact", [2**32 - 1, PIPE // 2])
def test_a_number_of_samples_that_the_file_has_no_room_for_is_no_reason_to_refuse_it(
    tmp_path: Path, fact: int
) -> None:
    assert probe_audio(wav(tmp_path, PIPE, fact=fact), Limits()).duration == 4


def test_sound_that_really_lasts_too_long_is_refused_by_its_header(tmp_path: Path) -> None:
    with pytest.raises(MediaLimitExceeded, match=r"lasts 4\.0 s, longer than 3 s"):
        probe_audio(wav(tmp_path, SIZE), Limits(max_audio_s=3))


@pytest.mark.parametrize("size", [0, SIZE // 4])
@pytest.mark.parametrize("kind", [b"RF64", b"BW64"])
def test_a_large_file_whose_recorder_never_wrote_its_size_is_read(
    tmp_path: Path, kind: bytes, size: int
) -> None:
    sizes = b"ds64" + struct.pack("<IQQQI", 28, 0, size, 0, 0)
    form = b"fmt " + struct.pack("<IHHIIHH", 16, 1, 1, RATE, 2 * RATE, 2, 16)
    path = tmp_path / "large.wav"
    path.write_bytes(kind + b"\xff" * 4 + b"WAVE" + sizes + form + b"data" + b"\xff" * 4 + PCM)
    assert probe_audio(path, Limits()).duration == 4


@pytest.mark.parametrize(
    "tail",
    [
        TAGS,
        TAGS + b"id3 " + struct.pack("<I", 9000) + bytes(9000),
        b"\0" + TAGS,
        b"LIST" + struct.pack("<I", 90_000) + b"INFOICMT" + b"words " * 1000,
        bytes(50_000),
        b"TAG" + b"title".ljust(125),
        b"ID3\x04\0\0\0\0\x7f\x7f" + bytes(range(1, 250)) * 60,
        b"\0APETAGEX" + bytes(range(256)) * 40,
    ],
    ids=[
        *("tags", "two chunks", "a byte of padding", "tags cut short", "zeros", "an old tag"),
        *("a new tag", "an ape's tag"),
    ],
)
def test_what_follows_sound_and_is_none_is_not_heard(tmp_path: Path, tail: bytes) -> None:
    path = wav(tmp_path, SIZE, tail=tail)
    assert probe_audio(path, Limits()).duration == 4


def test_sound_under_a_size_too_small_may_have_tags_behind_it(tmp_path: Path) -> None:
    path = wav(tmp_path, SIZE // 2, tail=TAGS)
    assert 0 <= probe_audio(path, Limits()).duration - 4 < Fraction(1, 100)


def test_chunks_without_number_behind_sound_are_not_walked_through(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file of 1 GB has room for a hundred million."""
    walked: list[bytes] = []

    class Letters(frozenset[int]):
        def issuperset(self, name: Iterable[object]) -> bool:
            walked.append(bytes(name))  # type: ignore[arg-type]
            return True

    monkeypatch.setattr(wav_size, "_LETTERS", Letters())
    path = wav(tmp_path, SIZE, tail=b"abcd\0\0\0\0" * 5000)
    assert not wav_size.says_too_little(path)
    assert len(walked) == wav_size._CHUNKS
