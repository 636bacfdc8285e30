"""What MuseTalk hears: states of whisper's encoder, 50 steps a second.

Speech is encoded in pieces of 30 seconds, each with its own log-mel normalisation, as in training.
Pieces are encoded when a frame first needs them and forgotten soon after, so that memory does not
grow with the length of the speech.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from fractions import Fraction
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from pipeline.engines.musetalk.windows import STATES, STEP_RATE, tokens, window_steps

if TYPE_CHECKING:
    from transformers.models.whisper.modeling_whisper import WhisperEncoder

RATE = 16_000
"""Samples per second."""
PIECE_S = 30
PIECE_STEPS = PIECE_S * STEP_RATE
Listen = Callable[[Tensor], Tensor]
"""(1, 80, 3000) to (1500, 5, 384)."""
_KEEP = 3
"""Encoded pieces that stay: a batch of frames touches at most two."""


def log_mel(samples: Tensor) -> Tensor:
    """Log-mel of one piece, padded with silence to 30 s.

    Args:
        samples: (n,) float32 at 16 kHz, -1 to 1, at most 30 s; none is one piece of silence.

    Returns:
        (1, 80, 3000) float32.
    """
    from transformers import WhisperFeatureExtractor  # heavy: only when it is needed

    extractor = WhisperFeatureExtractor()  # its defaults are those of whisper-tiny
    wave = samples.detach().cpu().float()
    wave = torch.cat([wave, wave.new_zeros(1)]) if wave.numel() == 0 else wave
    batch = extractor(wave.numpy(), sampling_rate=RATE, return_tensors="pt")
    mel: Tensor = batch.input_features
    return mel


@torch.inference_mode()
def encoder_states(encoder: WhisperEncoder, mel: Tensor) -> Tensor:
    """All states of the encoder for one piece.

    Args:
        encoder: of whisper-tiny's shape.
        mel: (1, 80, 3000).

    Returns:
        (1500, 5, 384): after the convolutions and positions, after layers 1 to 3, and after
        layer 4 with the final norm.
    """
    seen = encoder(mel.to(encoder.device, encoder.dtype), output_hidden_states=True)
    return torch.stack(seen.hidden_states, dim=2)[0]


class SpeechTokens:
    """The tokens of every frame of one speech.

    Args:
        samples: (n,) float32 at 16 kHz.
        listen: runs the encoder on one piece, as `encoder_states` does; by default here and now.
    """

    def __init__(
        self, encoder: WhisperEncoder, samples: Tensor, listen: Listen | None = None
    ) -> None:
        self._encoder = encoder
        self._listen = listen or partial(encoder_states, encoder)
        self._samples = samples
        self._pieces: OrderedDict[int, Tensor] = OrderedDict()
        self.steps = samples.numel() * STEP_RATE // RATE
        """Steps that lie wholly inside the speech."""

    def frames(self, fps: Fraction, frames: range) -> Tensor:
        """(len(frames), 50, 384) tokens of frames, without positions, on the encoder's device."""
        index = window_steps(fps, frames, self.steps)
        held = index[index >= 0]
        if held.numel() == 0:
            width = self._encoder.config.d_model
            return torch.zeros(
                len(frames),
                index.shape[1] * STATES,
                width,
                device=self._encoder.device,
                dtype=self._encoder.dtype,
            )
        first, last = int(held.min()) // PIECE_STEPS, int(held.max()) // PIECE_STEPS
        states = torch.cat([self._piece(n) for n in range(first, last + 1)])
        local = torch.where(index >= 0, index - first * PIECE_STEPS, index)
        return tokens(states, local)

    def _piece(self, number: int) -> Tensor:
        if number in self._pieces:
            self._pieces.move_to_end(number)
            return self._pieces[number]
        start = number * PIECE_S * RATE
        mel = log_mel(self._samples[start : start + PIECE_S * RATE])
        states = self._listen(mel)
        self._pieces[number] = states
        while len(self._pieces) > _KEEP:
            self._pieces.popitem(last=False)
        return states
