"""Fetch one pinned file of a Hugging Face repository, and resume where a broken fetch stopped.

`huggingface_hub` finds the file, authenticates and speaks HTTP; it keeps nothing of a fetch that
broke, which for 3.4 GB on a slow line is not good enough, so the bytes are written here. A partial
file is named after the pinned digest: a changed pin never continues another file.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from pipeline.errors import ScratchFull, WeightsMissing, in_one_line
from pipeline.file_digest import sha256_of
from schemas.codes import Stage

ATTEMPTS = 5
"""Broken connections in a row, without a byte between them, that a fetch survives."""

OnBytes = Callable[[int, int], None]
"""Called with the bytes that are here and the bytes that there are."""


@dataclass(frozen=True, slots=True)
class Hub:
    """Where files are asked for."""

    endpoint: str | None = None
    """None: huggingface_hub's own setting, `HF_ENDPOINT`."""
    pause_s: float = 1.0
    """Seconds between attempts of a broken fetch."""


HUB = Hub()


@dataclass(frozen=True, slots=True)
class Pin:
    """One file, exactly."""

    repo: str
    revision: str
    """40 hex digits."""
    path: str
    size: int
    """Bytes."""
    sha256: str
    """64 hex digits."""

    def __str__(self) -> str:
        return f"{self.repo}@{self.revision[:8]}/{self.path}"


def fetch(pin: Pin, folder: Path, on_bytes: OnBytes, hub: Hub = HUB) -> Path:
    """Bring a pinned file into a folder.

    Args:
        folder: an existing folder; the file is named after its digest.

    Returns:
        The file, whose digest is the pinned one.

    Raises:
        WeightsMissing: the hub cannot be reached, refuses, or has another file than the pinned one.
        ScratchFull: the disk has no room.
    """
    done = folder / pin.sha256
    if done.is_file() and done.stat().st_size == pin.size and sha256_of(done) == pin.sha256:
        return done
    part = folder / f"{pin.sha256}.part"
    _receive(pin, part, hub, on_bytes)
    found = sha256_of(part)
    if found != pin.sha256:
        part.unlink()
        raise WeightsMissing(
            f"{pin} has sha256 {found}, the manifest pins {pin.sha256}: it was deleted, not used",
            stage=Stage.FETCH,
            file=str(pin),
            sha256=found,
            pinned=pin.sha256,
        )
    return part.replace(done)


def _receive(pin: Pin, part: Path, hub: Hub, on_bytes: OnBytes) -> None:
    """Append to the partial file until it has the pinned size."""
    from huggingface_hub.errors import HfHubHTTPError

    # The HTTP client's own base error, whichever client the installed huggingface_hub uses.
    client_error: type[Exception] = HfHubHTTPError.__mro__[1]
    failures = 0
    while (here := _size(part)) != pin.size:
        if here > pin.size:
            part.unlink()
            continue
        try:
            _stream(pin, part, hub.endpoint, on_bytes)
        except (client_error, ConnectionError, TimeoutError) as error:
            failures = failures + 1 if _size(part) == here else 1
            refused = isinstance(error, HfHubHTTPError) and not _is_busy(error.response.status_code)
            if failures >= ATTEMPTS or refused:
                raise _unreachable(pin, error) from error
            time.sleep(hub.pause_s)


def _is_busy(status: int) -> bool:
    """True for answers of a hub that may give another one in a moment."""
    return status >= 500 or status in (408, 429)


def _stream(pin: Pin, part: Path, endpoint: str | None, on_bytes: OnBytes) -> None:
    """One request; continues the partial file when the server lets us."""
    from huggingface_hub import get_session

    url, headers = _locate(pin, endpoint)
    here = _size(part)
    _check_room(part, pin.size - here)
    if here:
        headers["range"] = f"bytes={here}-"
    with get_session().stream("GET", url, headers=headers, follow_redirects=True) as response:
        if response.status_code == 416:  # the partial file is not of this file
            part.unlink(missing_ok=True)
            return
        response.raise_for_status()
        resumed = response.status_code == 206
        here = here if resumed else 0
        with part.open("ab" if resumed else "wb") as file:
            for chunk in response.iter_bytes():
                here += len(chunk)
                if here > pin.size:  # at once: more of it would fill the disk, and never fit
                    break
                file.write(chunk)
                on_bytes(here, pin.size)
    if here > pin.size:
        part.unlink()
        raise _too_long(pin, urlsplit(str(response.url)).netloc)
    if here < pin.size:
        raise ConnectionError(f"the connection ended after {here} of {pin.size} bytes")


def _locate(pin: Pin, endpoint: str | None) -> tuple[str, dict[str, str]]:
    """Where the bytes are, and the headers to ask with. Refuses another revision or size."""
    from huggingface_hub import get_hf_file_metadata, get_token, hf_hub_url

    url = hf_hub_url(pin.repo, pin.path, revision=pin.revision, endpoint=endpoint)
    facts = get_hf_file_metadata(url, endpoint=endpoint)
    if facts.commit_hash != pin.revision:
        raise WeightsMissing(
            f"the hub answered for revision {facts.commit_hash}, not {pin.revision}, of {pin.repo}",
            stage=Stage.FETCH,
            file=str(pin),
        )
    if facts.size is not None and facts.size != pin.size:
        raise WeightsMissing(
            f"{pin} has {facts.size} bytes on the hub, the manifest pins {pin.size}",
            stage=Stage.FETCH,
            file=str(pin),
        )
    headers = {"accept-encoding": "identity"}
    token = get_token()
    if token and urlsplit(facts.location).netloc == urlsplit(url).netloc:
        headers["authorization"] = f"Bearer {token}"  # for the hub, not for where it stores bytes
    return facts.location, headers


def _check_room(part: Path, wanted: int) -> None:
    free = shutil.disk_usage(part.parent).free
    if free < wanted:
        raise ScratchFull(
            f"{wanted} bytes of weights do not fit: {free} are free in {part.parent}",
            stage=Stage.FETCH,
            wanted=wanted,
            free=free,
        )


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _too_long(pin: Pin, host: str) -> WeightsMissing:
    return WeightsMissing(
        f"{host} sends more than the {pin.size} bytes that the manifest pins of {pin}: it was"
        " deleted, not used; ask another hub or mirror (HF_ENDPOINT)",
        stage=Stage.FETCH,
        file=str(pin),
        pinned=pin.size,
    )


def _unreachable(pin: Pin, error: Exception) -> WeightsMissing:
    return WeightsMissing(
        f"{pin} could not be fetched: {in_one_line(error, 300)}; what arrived is kept, the next"
        " pull continues it",
        stage=Stage.FETCH,
        file=str(pin),
    )
