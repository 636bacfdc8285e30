"""Where this user's caches are (XDG Base Directory Specification), which the pipeline is told.

Each raises SettingsError where a user without a home, as containers and units of systemd have them,
names no folder.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path


def weights_root(environ: Mapping[str, str] | None = None) -> Path:
    """Folder of all weights: `F2F_WEIGHTS_DIR`, else `face2face/weights` in the user's cache."""
    environ = os.environ if environ is None else environ
    return _chosen("F2F_WEIGHTS_DIR", environ) or _cache(environ) / "weights"


def signing_root(environ: Mapping[str, str] | None = None) -> Path:
    """The development certificate's: `F2F_SIGNING_DIR`, else `face2face/signing` in the cache."""
    environ = os.environ if environ is None else environ
    return _chosen("F2F_SIGNING_DIR", environ) or _cache(environ) / "signing"


def avatars_root(environ: Mapping[str, str] | None = None) -> Path:
    """Prepared references of `face2face render`: `F2F_AVATAR_DIR`, else `face2face/avatars`."""
    environ = os.environ if environ is None else environ
    return _chosen("F2F_AVATAR_DIR", environ) or _cache(environ) / "avatars"


def jobs_file(environ: Mapping[str, str] | None = None) -> Path:
    """Jobs that this user rendered here: `face2face/jobs.txt` in the cache."""
    return _cache(os.environ if environ is None else environ) / "jobs.txt"


def _chosen(name: str, environ: Mapping[str, str]) -> Path | None:
    value = environ.get(name)
    if not value:
        return None
    from consumer.settings import SettingsError
    from consumer.settings.checks import place

    try:
        return place(Path(value))
    except ValueError as error:
        raise SettingsError(f"{name} = {value!r}: {error}") from None


def _cache(environ: Mapping[str, str]) -> Path:
    cache = environ.get("XDG_CACHE_HOME", "")
    # The specification: a relative path is invalid and to be ignored.
    return (Path(cache) if cache.startswith("/") else _home() / ".cache") / "face2face"


def _home() -> Path:
    try:
        return Path.home()
    except RuntimeError:
        from consumer.settings import SettingsError

        raise SettingsError(
            f"HOME is not set, and user {os.getuid()} has no home: nothing can be kept; set "
            "XDG_CACHE_HOME to a folder that this user may write"
        ) from None


def package_index(environ: Mapping[str, str] | None = None) -> str | None:
    """The package index of somebody who told only uv about it; None leaves it to pip."""
    environ = os.environ if environ is None else environ
    if environ.get("PIP_INDEX_URL"):
        return None
    value = environ.get("UV_DEFAULT_INDEX") or environ.get("UV_INDEX_URL")
    if not value:
        return None
    name, separator, url = value.partition("=")
    return url if separator and "://" not in name else value
