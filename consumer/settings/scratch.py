"""Settings of scratch and clean-up; most names are of the HTTP service that this one replaces."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import field_validator

from consumer.settings import checks
from consumer.settings.fields import MOST_BYTES, MOST_S, Group, env


class ScratchSettings(Group):
    """Where files lie, how long they live, on the disk and in the bucket, and who shares them."""

    data_dir: Path = env(
        "DUIX_DATA_DIR", Path("/tmp/face2face"), "scratch folder, and the Duix container's share"
    )
    cleanup_delay_s: float = env(
        "CLEANUP_DELAY", 60.0, "life of a finished job's files", ge=0, le=MOST_S
    )
    cleanup_interval_s: float = env(
        "PERIODIC_CLEANUP_INTERVAL", 300.0, "pause between two sweeps", ge=1, le=MOST_S
    )
    max_file_age_s: float = env(
        "MAX_FILE_AGE", 3600.0, "age at which scratch is swept", gt=0, le=MOST_S
    )
    min_free_bytes: int = env(
        "F2F_MIN_FREE_BYTES",
        512 * 1024**2,
        "free disk below which intake pauses",
        ge=0,
        le=MOST_BYTES,
    )
    sweep: Literal["auto", "always", "off"] = env(
        "F2F_SWEEP",
        "auto",
        "expiry of old objects by the service itself: auto, where the store has no lifecycle "
        "rules; always, beside them too; off",
    )
    sweep_interval_s: float = env(
        "F2F_SWEEP_INTERVAL_S", 3600.0, "pause between two passes of that expiry", ge=1, le=MOST_S
    )
    duix_url: str = env("DUIX_INTERNAL_URL", "http://localhost:8383", "the Duix container")

    _place = field_validator("data_dir")(checks.place)
    _duix = field_validator("duix_url")(checks.http_url)
