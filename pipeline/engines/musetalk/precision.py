"""Half precision where a GPU computes in it, single where it makes no numbers.

Half precision is three times as fast and right on the data centres' GPUs; some consumer cards (the
GTX 16 series) return NaN from convolutions in it. One picture through all networks tells.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

import torch

from pipeline.batching.cuda import give_back_memory
from pipeline.engines.musetalk.networks import Networks, paint
from pipeline.engines.musetalk.picture import SIDE, decode, encode
from pipeline.engines.musetalk.windows import TOKENS
from pipeline.engines.neural.lost import brightest

_log = logging.getLogger(__name__)


def sound(load: Callable[[torch.dtype], Networks]) -> Networks:
    """Networks of half precision, or single ones where those make no numbers.

    Args:
        load: brings them in a precision.
    """
    networks = load(torch.float16)
    if makes_numbers(networks):
        return networks
    del networks
    give_back_memory()
    _log.warning(
        "musetalk runs in single precision, several times as slowly: in half precision the networks"
        " make no numbers (NaN) on this device"
    )
    return load(torch.float32)


@torch.inference_mode()
def makes_numbers(networks: Networks) -> bool:
    """Whether a picture comes out of the networks as one."""
    ramp = torch.linspace(0, 255, SIDE).round().to(torch.uint8)
    seen = ramp.expand(1, 3, SIDE, SIDE).contiguous()
    width = int(networks.unet.config.cross_attention_dim)
    heard = torch.zeros(1, TOKENS, width, device=networks.unet.device)
    made = decode(networks.decoder, paint(networks.unet, encode(networks.vae, seen), heard))
    return bool(brightest(made).all())
