"""MuseTalk's networks, shrunken: the same classes and names, small enough for every test run."""

from __future__ import annotations

from functools import lru_cache

from pipeline.engines.musetalk import networks
from pipeline.engines.musetalk.checkpoint import Build
from pipeline.engines.musetalk.networks import Networks, load_into
from tests.parity.rule import weights_for

SALT = "tiny"
WIDTH = 32

UNET = {**networks.UNET, "block_out_channels": (16, 16, 32, 32), "cross_attention_dim": WIDTH}
UNET |= {"layers_per_block": 1, "norm_num_groups": 8}
VAE = {**networks.VAE, "block_out_channels": (8, 8, 8, 8), "layers_per_block": 1}
VAE |= {"norm_num_groups": 4}
WHISPER = {**networks.WHISPER, "d_model": WIDTH, "encoder_ffn_dim": 32}
WHISPER |= {"encoder_attention_heads": 4}
TAESD = {
    "encoder_block_out_channels": (8, 8, 8, 8),
    "decoder_block_out_channels": (8, 8, 8, 8),
    "num_encoder_blocks": (1, 1, 1, 1),
    "num_decoder_blocks": (1, 1, 1, 1),
}

BUILDERS: dict[str, Build] = {
    "unet": lambda: networks.build_unet(UNET),
    "vae": lambda: networks.build_vae(VAE),
    "whisper": lambda: networks.build_whisper(WHISPER),
    "taesd": lambda: networks.build_tiny(TAESD),
}


@lru_cache
def tiny_networks(fast: bool = False) -> Networks:
    """Shrunken networks with the rule's weights. They are shared: do not change them."""
    made = {}
    for name, build in BUILDERS.items():
        made[name] = build()
        load_into(made[name], weights_for(made[name], SALT))
    decoder = made["taesd"] if fast else made["vae"]
    return Networks(made["unet"], made["vae"], decoder, made["whisper"])
