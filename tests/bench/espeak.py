"""Speech whose phones are known to the millisecond, by libespeak-ng's phoneme events."""

from __future__ import annotations

import ctypes
import ctypes.util
from ctypes import POINTER, c_char_p, c_int, c_short, c_ubyte, c_uint, c_void_p
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

RATE = 16_000
_SYNCHRONOUS, _PHONEMES_IN_IPA = 2, 3
_PHONEME_EVENT, _UTF8 = 7, 1
_SPEED, _PITCH = 1, 3
_VOICELESS = ("p", "t", "ʈ", "c", "k", "q")
_SILENT = 2e-3
_LONGEST_S, _STEP = 0.08, 80


class _Id(ctypes.Union):
    _fields_ = (("number", c_int), ("name", c_char_p), ("string", ctypes.c_char * 8))


class _Event(ctypes.Structure):
    _fields_ = (
        ("type", c_int),
        ("uid", c_uint),
        ("text_position", c_int),
        ("length", c_int),
        ("audio_ms", c_int),
        ("sample", c_int),
        ("user", c_void_p),
        ("id", _Id),
    )


class _Voice(ctypes.Structure):
    _fields_ = (
        ("name", c_char_p),
        ("languages", c_char_p),
        ("identifier", c_char_p),
        ("gender", c_ubyte),
        ("age", c_ubyte),
        ("variant", c_ubyte),
        ("unused", c_ubyte),
        ("score", c_int),
        ("spare", c_void_p),
    )


_CALLBACK = ctypes.CFUNCTYPE(c_int, POINTER(c_short), c_int, POINTER(_Event))


@dataclass(frozen=True, slots=True)
class Said:
    """One sentence."""

    samples: Tensor
    """(N,) at 16 kHz."""
    phones: list[tuple[str, float, float]]
    """IPA, start and end in seconds; a pause has no name."""


class Espeak:
    """The synthesiser.

    Raises:
        OSError: libespeak-ng is not on this machine.
    """

    def __init__(self) -> None:
        self._library: Any = ctypes.CDLL(ctypes.util.find_library("espeak-ng") or "espeak-ng")
        self._rate: int = self._library.espeak_Initialize(_SYNCHRONOUS, 200, None, _PHONEMES_IN_IPA)
        self._sound: list[Any] = []
        self._events: list[tuple[str, float]] = []
        self._callback = _CALLBACK(self._take)
        self._library.espeak_SetSynthCallback(self._callback)

    def say(self, voice: str, text: str, speed: int, pitch: int) -> Said:
        """Speak a sentence."""
        self._sound.clear()
        self._events.clear()
        library = self._library
        if library.espeak_SetVoiceByName(voice.encode()) != 0:
            wanted = _Voice()
            wanted.languages = voice.encode()
            library.espeak_SetVoiceByProperties(ctypes.byref(wanted))
        library.espeak_SetParameter(_SPEED, speed, 0)
        library.espeak_SetParameter(_PITCH, pitch, 0)
        data = text.encode() + b"\0"
        library.espeak_Synth(data, len(data), 0, 1, 0, _UTF8, None, None)
        library.espeak_Synchronize()
        sound = np.concatenate(self._sound).astype(np.float32) / 32768
        ends = [at for _, at in self._events[1:]]
        spans = [(name, at, end) for (name, at), end in zip(self._events, ends, strict=False)]
        samples = resampled(torch.from_numpy(sound), self._rate)
        return Said(samples, _from_closures(samples, spans))

    def _take(self, wave: Any, count: int, events: Any) -> int:
        if count > 0 and wave:
            self._sound.append(np.ctypeslib.as_array(wave, (count,)).copy())
        at = 0
        while events[at].type != 0:
            if events[at].type == _PHONEME_EVENT:
                name = bytes(events[at].id.string).split(b"\0")[0].decode("utf-8", "ignore")
                self._events.append((name, events[at].audio_ms / 1000))
            at += 1
        return 0


def _from_closures(
    samples: Tensor, spans: list[tuple[str, float, float]]
) -> list[tuple[str, float, float]]:
    """Spans in which a stop without voice begins where the mouth shuts, not where it bursts open.

    The events of these stops come with the burst; the silence before it, some 50 ms, would count
    as the phone before.
    """
    out: list[tuple[str, float, float]] = []
    for name, start, end in spans:
        begin = start
        if name[:1] in _VOICELESS:
            at = round(start * RATE)
            least = max(0, at - round(_LONGEST_S * RATE))
            while at - _STEP >= least and float(samples[at - _STEP : at].abs().max()) < _SILENT:
                at -= _STEP
            begin = at / RATE if out else start
        if out and begin < out[-1][2]:
            begin = max(begin, out[-1][1])
            out[-1] = (out[-1][0], out[-1][1], begin)
        out.append((name, begin, end))
    return out


def resampled(sound: Tensor, rate: int) -> Tensor:
    """To 16 kHz, by cutting the spectrum."""
    count = round(sound.numel() * RATE / rate)
    spectrum = torch.fft.rfft(sound)[: count // 2 + 1]
    out: Tensor = torch.fft.irfft(spectrum, count) * (count / sound.numel())
    return out
