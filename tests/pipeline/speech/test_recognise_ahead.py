"""What is recognised ahead is what listening hears."""

from __future__ import annotations

import threading
from fractions import Fraction

import pytest
import torch

from pipeline.reading.audio import Speech
from pipeline.speech import mouth, recognise_ahead
from pipeline.speech.mouth import listen
from pipeline.speech.recognise_ahead import recognised_ahead


def _speech(seconds: float) -> Speech:
    """A vowel-like buzz that comes and goes: not words, but the recogniser names something."""
    at = torch.arange(int(seconds * 16_000)) / 16_000
    pulses = torch.sin(2 * torch.pi * 120 * at).sign() * (torch.sin(2 * torch.pi * 3 * at) > 0)
    noise = torch.randn(len(at), generator=torch.Generator().manual_seed(1))
    return Speech(0.2 * pulses + 0.01 * noise, Fraction(len(at), 16_000))


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
