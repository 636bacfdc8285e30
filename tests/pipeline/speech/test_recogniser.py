"""The phone network: its weights as data, what it names, and where phones begin and end."""

from __future__ import annotations

import itertools
import struct
import threading

import pytest
import torch

from pipeline.errors import WeightsMissing
from pipeline.speech import archive, recogniser
from pipeline.speech.align import align
from pipeline.speech.archive import read_archive
from pipeline.speech.conformer import network
from pipeline.speech.ipa import phone
from pipeline.speech.mel import hear
from pipeline.speech.phones import SILENCE, PhoneSpan, agree
from pipeline.speech.recogniser import Recognition, recognise, spans
from pipeline.speech.visemes import TABLE
from tests.pipeline.speech.sounds import DEMO_TEXT, demo, music, noise, silence


def heard(sound: torch.Tensor) -> Recognition:
    return recognise(sound, hear(sound)[1])


def names(found: list[PhoneSpan]) -> str:
    return " ".join(span.name for span in found if span.name != SILENCE)


def covers(found: list[PhoneSpan], samples: int) -> bool:
    joined = all(abs(a.end - b.start) < 1e-9 for a, b in itertools.pairwise(found))
    return joined and found[0].start == 0 and found[-1].end >= samples / 16_000


def test_the_demo_words_are_heard_with_every_closure_where_it_is_spoken() -> None:
    sound = demo().samples
    _, level = hear(sound)
    found = recognise(sound, level)
    assert covers(found.phones, sound.numel())
    assert "F EY S M AY L IH P S M UW W IH TH" in names(found.phones)  # Face. My lips move with
    words = align(sound, level, DEMO_TEXT)
    assert words is not None
    assert agree(words, found.phones, level.numel()) > 0.59
    shut = [p.centre for p in found.phones if p.name in "PBM"]
    spoken = [p for p in words if p.name in "PBM"]
    assert len(spoken) == 8
    assert all(any(p.start - 0.03 <= at <= p.end + 0.03 for at in shut) for p in spoken)
    assert found.hidden.shape == (288, -(-level.numel() // 2))


def test_quiet_loud_and_clipped_recordings_are_heard_alike() -> None:
    usual = names(heard(demo().samples).phones)
    assert names(heard(demo().samples * 0.01).phones) == usual
    clipped = names(heard((demo().samples * 6).clamp(-1, 1)).phones)
    assert clipped.count("P") + clipped.count("M") >= 6


def test_a_longer_speech_is_heard_as_its_parts() -> None:
    one = torch.cat([demo().samples, silence(0.6)])
    found = heard(one.repeat(4))
    assert covers(found.phones, 4 * one.numel())
    shut = sum(p.name in "PBM" for p in found.phones)
    assert abs(shut - 4 * sum(p.name in "PBM" for p in heard(one).phones)) <= 2


@pytest.mark.parametrize("samples", [0, 1, 480, 1600, 3200])
def test_any_length_is_covered(samples: int) -> None:
    sound = demo().samples[10_000 : 10_000 + samples]
    found = heard(sound)
    assert covers(found.phones, samples)
    assert torch.isfinite(found.hidden).all()


def test_silence_noise_and_music_are_no_speech() -> None:
    for sound in (silence(2.0), noise(3.0, 0.2), music(4.0)):
        found = heard(sound)
        assert covers(found.phones, sound.numel())
        spoken = sum(p.duration for p in found.phones if p.name != SILENCE)
        assert spoken < 0.4 * sound.numel() / 16_000


def test_phones_last_from_middle_to_middle_and_silence_lies_where_none_is_near() -> None:
    named = [recogniser._Named(name, at) for name, at in (("B", 1.0), ("AA", 1.1), ("S", 3.0))]
    found = spans(named, 4.0)
    assert [p.name for p in found] == [SILENCE, "B", "AA", SILENCE, "S", SILENCE]
    assert found[1].end == pytest.approx(1.05)
    assert found[2].end == pytest.approx(1.35)
    assert found[4].start == pytest.approx(2.75)
    assert found[-1].end == 4.0


def test_every_token_that_is_a_sound_has_a_mouth() -> None:
    for token in network().tokens:
        name = phone(token)
        assert name is None or name in TABLE
    assert [phone(t) for t in ("pʰ", "b", "m", "t͡ʃ", "oʊ", "ɝ", "ʰ", "˥", "<blank>")] == [
        *("P", "B", "M", "CH", "OW", "ER"),
        *(None, None, None),
    ]


def test_who_gives_up_gets_no_further_block(monkeypatch: pytest.MonkeyPatch) -> None:
    stop = threading.Event()
    seen: list[int] = []

    def gives_up(*args: object) -> tuple[list[object], torch.Tensor]:
        seen.append(1)
        stop.set()
        return [], torch.zeros(288, 0, dtype=torch.float16)

    monkeypatch.setattr(recogniser, "_block", gives_up)
    sound = torch.cat([demo().samples, silence(0.6)]).repeat(6)
    recognise(sound, hear(sound)[1], stop)
    assert len(seen) == 1


def test_an_archive_is_read_and_what_is_none_is_refused() -> None:
    values = struct.pack("<4e", 1.0, -2.0, 0.5, 4.0)
    table = struct.pack("<H1sBBIIQQ", 1, b"w", 1, 2, 2, 2, 0, len(values))
    head = b"HAMAPK" + struct.pack("<BBI", 1, 2, 1)
    pad = b"\0" * (-(len(head) + len(table)) % 16)
    data = head + table + pad + values
    assert read_archive(data)["w"].tolist() == [[1.0, -2.0], [0.5, 4.0]]
    for broken in (b"PK\3\4" + data, data[:20], data[:-1]):
        with pytest.raises(ValueError, match=r"hama|buffer"):
            read_archive(broken)


def test_another_version_of_the_network_is_refused_by_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(archive, "SHA256", "0" * 64)
    with pytest.raises(WeightsMissing, match=r"install hama==1\.7\.0"):
        archive.load_weights()
