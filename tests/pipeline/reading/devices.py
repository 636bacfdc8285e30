"""Devices that decode, as tests stand in for them."""

from __future__ import annotations

from av.codec.hwaccel import HWAccel

from pipeline.types import VideoFacts

FRAMES = 12
"""Of the film in `conftest`."""


def device_accel(device: str, facts: VideoFacts) -> HWAccel:
    del device, facts
    return HWAccel("cuda", allow_software_fallback=False)
