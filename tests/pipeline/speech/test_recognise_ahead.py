"""Phones are the same whoever recognises them, and other threads run meanwhile."""

from __future__ import annotations

import threading
from fractions import Fraction
from pathlib import Path

import pocketsphinx
import pytest
import torch

from pipeline.reading.audio import Speech
from pipeline.speech import mouth, phones, recognise_ahead, sphinx
from pipeline.speech.mouth import listen
from pipeline.speech.recognise_ahead import recognised_ahead


def _speech(seconds: float) -> Speech:
    """A vowel-like buzz that comes and goes: not words, but the recogniser names something."""
    at = torch.arange(int(seconds * 16_000)) / 16_000
    pulses = torch.sin(2 * torch.pi * 120 * at).sign() * (torch.sin(2 * torch.pi * 3 * at) > 0)
    noise = torch.randn(len(at), generator=torch.Generator().manual_seed(1))
    return Speech(0.2 * pulses + 0.01 * noise, Fraction(len(at), 16_000))


def test_the_library_and_its_class_hear_the_same() -> None:
    speech = _speech(3.0)
    sound = phones.pcm(speech.samples, 0, 300)
    settings = phones._settings()
    found = sphinx.decode(settings, sound)
    assert len(found) > 15
    assert found == sphinx._by_class(pocketsphinx.Decoder(**settings), sound)


def test_a_build_without_the_library_uses_the_class(monkeypatch: pytest.MonkeyPatch) -> None:
    sound = phones.pcm(_speech(1.0).samples, 0, 100)
    settings = phones._settings()
    found = sphinx.decode(settings, sound)
    monkeypatch.setattr(sphinx, "_library", lambda: None)
    assert sphinx.decode(settings, sound) == found


def test_sound_without_a_sample_gives_nothing() -> None:
    assert sphinx.decode(phones._settings(), b"") == []


def test_a_model_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    settings = {**phones._settings(), "hmm": str(tmp_path)}
    with pytest.raises(RuntimeError, match="model"):
        sphinx.decode(settings, b"\0\0" * 1600)


def test_another_thread_runs_while_a_block_is_decoded() -> None:
    sound = phones.pcm(_speech(10.0).samples, 0, 1000)
    settings = phones._settings()
    sphinx.decode(settings, sound[:3200])  # loaded before
    began, done = threading.Event(), threading.Event()
    turns: list[bool] = []

    def other() -> None:
        began.set()
        while not done.wait(0.001):
            turns.append(True)

    thread = threading.Thread(target=other)
    thread.start()
    began.wait()
    before = len(turns)
    sphinx.decode(settings, sound)
    after = len(turns)
    done.set()
    thread.join()
    assert after - before > 3


def test_what_was_recognised_ahead_is_what_listening_hears(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    speech = _speech(2.0)
    alone = listen(speech)
    with recognised_ahead(speech) as early:
        monkeypatch.setattr(mouth, "perceive", None)  # whoever hears it again fails
        heard = listen(early)
    assert heard.phones == alone.phones
    assert torch.equal(heard.hidden, alone.hidden)


def test_leaving_tells_the_thread_to_stop_and_waits_for_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ended = threading.Event()

    def until_stopped(samples: torch.Tensor, stop: threading.Event) -> None:
        stop.wait()
        ended.set()

    monkeypatch.setattr(recognise_ahead, "perceive", until_stopped)
    with recognised_ahead(_speech(1.0)):
        assert not ended.is_set()
    assert ended.is_set()


def test_an_error_reaches_who_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(samples: torch.Tensor, stop: threading.Event) -> None:
        raise RuntimeError("no ears")

    monkeypatch.setattr(recognise_ahead, "perceive", broken)
    with (
        pytest.raises(RuntimeError, match="no ears"),
        recognised_ahead(_speech(1.0)) as early,
    ):
        listen(early)
