"""Settings of what jobs bring: how large, from where, and what is kept of their references."""

from __future__ import annotations

from pathlib import Path

from pydantic import field_validator

from consumer.settings import checks
from consumer.settings.fields import MOST_BYTES, MOST_S, Group, Names, env, given

_MOST_PIXELS = 300_000_000
"""libavcodec's own limit is 31 bits, and stills may have 7 times as many."""


class InputSettings(Group):
    """Limits of a job's files, and the hosts that they may come from."""

    max_input_bytes: int = env(
        "F2F_MAX_INPUT_BYTES", 2 * 1024**3, "largest input file", ge=1, le=MOST_BYTES
    )
    max_video_s: float = env("F2F_MAX_VIDEO_S", 3600.0, "longest reference", gt=0, le=MOST_S)
    max_audio_s: float = env("F2F_MAX_AUDIO_S", 1800.0, "longest speech", gt=0, le=MOST_S)
    max_pixels: int = env(
        "F2F_MAX_PIXELS",
        3840 * 2160,
        "largest picture; a still of up to 7 times as many is scaled down",
        ge=4096,
        le=_MOST_PIXELS,
    )
    allowed_hosts: Names = env(
        "F2F_ALLOWED_HOSTS",
        (),
        "hosts that https:// inputs may come from, comma-separated: host, host:port, .domain, "
        "or * for the public internet; never private addresses",
    )
    allow_loopback: bool = env(
        "F2F_ALLOW_LOOPBACK_INPUTS",
        False,
        "also take http(s):// inputs from this machine; for `face2face dev` alone",
    )
    remote_timeout_s: float = env(
        "F2F_REMOTE_TIMEOUT_S", 600.0, "longest fetch of one http(s):// input", gt=0, le=MOST_S
    )

    _hosts = field_validator("allowed_hosts")(checks.allowed_hosts)


class AvatarSettings(Group):
    """Prepared references, kept for the next job on the same video."""

    avatar_bytes: int = env(
        "F2F_AVATAR_BYTES",
        2 * 1024**3,
        "disk for prepared references, least recently used ones go first; 0 keeps none",
        ge=0,
        le=MOST_BYTES,
    )
    avatar_dir: Path | None = env(
        "F2F_AVATAR_DIR",
        None,
        "their folder; without one `avatars` under `DUIX_DATA_DIR`, for `face2face render` under "
        "the user's cache",
    )
    avatar_store: bool = env(
        "F2F_AVATAR_STORE", True, "keep them in the bucket, too, for all replicas"
    )

    _avatars = field_validator("avatar_dir")(given(checks.place))
