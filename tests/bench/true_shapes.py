"""Networks of MuseTalk that never run, with tokens of the true width and half precision."""

from __future__ import annotations

import torch

from pipeline.engines.musetalk import networks as real
from pipeline.engines.musetalk.networks import Networks
from pipeline.engines.musetalk.windows import WIDTH
from tests.pipeline.engines.musetalk import tiny


def networks() -> Networks:
    """For `tests.bench.stand_ins`: shapes and types are read from them, nothing else."""
    unet = real.build_unet({**tiny.UNET, "cross_attention_dim": WIDTH}).to(torch.float16)
    vae = real.build_vae(tiny.VAE).to(torch.float16)
    whisper = real.build_whisper({**tiny.WHISPER, "d_model": WIDTH})
    return Networks(unet, vae, vae, whisper)
