"""Refusing what is larger or longer than the limits allow, with the limit's name."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

from pipeline.errors import MediaLimitExceeded
from pipeline.types import Limits
from schemas.codes import Stage

TRUSTED = Limits(
    max_pixels=2**31 - 1,
    max_side=2**31 - 1,
    max_video_s=float("inf"),
    max_audio_s=float("inf"),
    max_streams=10_000,
    max_bytes=2**63,
    probe_timeout_s=600.0,
)
"""What `pipeline.reading.probe` let through is not measured twice."""


def check_pixels(path: Path, width: int, height: int, limits: Limits) -> None:
    """Refuse a picture that is too large, before a decoder makes room for it.

    Raises:
        MediaLimitExceeded: a side, or all of it, has too many pixels.
    """
    if max(width, height) > limits.max_side:
        raise MediaLimitExceeded(
            f"{path.name} is {width}x{height}; no side may exceed {limits.max_side} pixels",
            stage=Stage.PROBE,
            limit="max_side",
            value=max(width, height),
            max=limits.max_side,
        )
    if width * height > limits.max_pixels:
        raise MediaLimitExceeded(
            f"{path.name} is {width}x{height}, more than {limits.max_pixels} pixels",
            stage=Stage.PROBE,
            limit="max_pixels",
            value=width * height,
            max=limits.max_pixels,
        )


def check_video_seconds(path: Path, seconds: Fraction, limits: Limits) -> None:
    """Refuse a video that lasts too long.

    Raises:
        MediaLimitExceeded: it does.
    """
    _check_seconds(path, seconds, "max_video_s", limits.max_video_s)


def check_audio_seconds(path: Path, seconds: Fraction, limits: Limits) -> None:
    """Refuse a sound that lasts too long.

    Raises:
        MediaLimitExceeded: it does.
    """
    _check_seconds(path, seconds, "max_audio_s", limits.max_audio_s)


def _check_seconds(path: Path, seconds: Fraction, limit: str, most: float) -> None:
    if seconds > most:
        raise MediaLimitExceeded(
            f"{path.name} lasts {float(seconds):.1f} s, longer than {most:g} s",
            stage=Stage.PROBE,
            limit=limit,
            value=float(seconds),
            max=most,
        )
