"""Weights from the Hugging Face hub: pinned, checked, converted once, and then offline.

A manifest in the repository names every file by repository, 40-hex revision, size and sha256. A
pull fetches what is missing, checks it, converts it to safetensors under the current tensor names,
and records what it did in `installed.json` beside the result. Rendering reads only those files.

    <root>/<name>/downloads/        partial and unconverted files, removed after conversion
    <root>/<name>/<network>.safetensors
    <root>/<name>/installed.json    what was pulled, from where, under which licence
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Annotated

from pydantic import Field, ValidationError

from pipeline.errors import WeightsMissing
from pipeline.file_digest import sha256_of
from pipeline.hub_fetch import HUB, Hub, OnBytes, Pin, fetch
from pipeline.pulling import Announce, alone
from schemas.codes import Stage
from schemas.render import WeightFacts
from schemas.request import Contract

Convert = Callable[[str, Path, Path], None]
"""Convert the source file of a network (first) into a safetensors file (third)."""

_NETWORK = r"^[a-z][a-z0-9_]{0,31}$"


class HubFile(Contract):
    """One file of a repository."""

    network: str = Field(pattern=_NETWORK)
    path: str
    size: Annotated[int, Field(gt=0)]
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")


class HubSource(Contract):
    """One repository at one commit."""

    repo: str = Field(pattern=r"^[\w.-]+/[\w.-]+$")
    revision: str = Field(pattern=r"^[0-9a-f]{40}$", description="a commit, never a branch")
    licence: str
    licence_url: str
    files: list[HubFile]


class HubManifest(Contract):
    """Everything that one engine needs."""

    name: str = Field(pattern=r"^[a-z][a-z0-9-]{0,31}$")
    sources: list[HubSource]

    def pins(self) -> dict[str, tuple[HubSource, Pin]]:
        """Each network's source and file."""
        return {
            file.network: (
                source,
                Pin(source.repo, source.revision, file.path, file.size, file.sha256),
            )
            for source in self.sources
            for file in source.files
        }


class InstalledFile(Contract):
    """One converted file, and where it came from."""

    repo: str
    revision: str
    path: str
    source_sha256: str
    licence: str
    licence_url: str
    sha256: str
    size: int
    pulled_at: datetime


class Installed(Contract):
    """`installed.json`."""

    files: dict[str, InstalledFile] = Field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that `verify` found wrong."""

    network: str
    problem: str


def read_manifest(path: Path) -> HubManifest:
    """A manifest of the repository.

    Raises:
        pydantic.ValidationError: a revision is not 40 hex digits, or a digest not 64.
    """
    return HubManifest.model_validate_json(path.read_bytes())


def pull(
    manifest: HubManifest,
    root: Path,
    convert: Convert,
    announce: Announce,
    *,
    on_bytes: OnBytes = lambda _here, _all: None,
    hub: Hub = HUB,
) -> Installed:
    """Bring, check and convert what is missing; what is there and right stays.

    Args:
        root: folder of all weights; made when it is missing.
        convert: makes the safetensors file of one network.

    Raises:
        WeightsMissing: the hub cannot be reached, or a file is not the pinned one.
        ScratchFull: the disk has no room.
        OSError: the folder cannot be written.
    """
    folder = root / manifest.name
    downloads = folder / "downloads"
    for source in manifest.sources:
        announce(f"{source.repo} at {source.revision[:8]}: {source.licence} ({source.licence_url})")
    if not downloads.exists() and not verify(manifest, root):
        for network in manifest.pins():  # without the lock: the folder may be for reading alone
            announce(f"{network}: already here")
        return read_installed(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with alone(folder, announce, ".*.new"):
        downloads.mkdir(exist_ok=True)
        for network, (source, pin) in manifest.pins().items():
            if not _finding(manifest, root, network, deep=True):
                announce(f"{network}: already here")
                continue
            announce(f"{network}: fetching {pin}, {pin.size / 1e6:.0f} MB")
            fetched = fetch(pin, downloads, on_bytes, hub)
            target = folder / f"{network}.safetensors"
            _replace(target, partial(convert, network, fetched))
            _record(folder, network, source, pin, target)
            fetched.unlink()
            announce(f"{network}: checked and converted")
        shutil.rmtree(downloads)
    return read_installed(folder)


def verify(manifest: HubManifest, root: Path) -> list[Finding]:
    """Compare every converted file with what was recorded when it was made; reads all bytes."""
    found = (_finding(manifest, root, network, deep=True) for network in manifest.pins())
    return [finding for finding in found if finding]


def installed(manifest: HubManifest, root: Path, networks: list[str]) -> dict[str, Path]:
    """The files of some networks, for loading. Compares names, pins and sizes, not every byte.

    Raises:
        WeightsMissing: some are not there; names the command that brings them.
    """
    for network in networks:
        finding = _finding(manifest, root, network, deep=False)
        if finding:
            raise WeightsMissing(
                f"weights of {manifest.name}: {network} {finding.problem} in"
                f" {root / manifest.name}; run `face2face weights pull {manifest.name}`",
                stage=Stage.GENERATE,
                engine=manifest.name,
                network=network,
            )
    return {network: root / manifest.name / f"{network}.safetensors" for network in networks}


def weight_facts(manifest: HubManifest, networks: list[str]) -> list[WeightFacts]:
    """What a render reports of its weights: the published files, not our conversion."""
    pins = manifest.pins()
    return [
        WeightFacts(
            name=f"{pins[n][1].repo}/{pins[n][1].path}",
            revision=pins[n][1].revision,
            sha256=pins[n][1].sha256,
        )
        for n in networks
    ]


def read_installed(folder: Path) -> Installed:
    """`installed.json` of a folder; empty when it is missing or broken."""
    try:
        return Installed.model_validate_json((folder / "installed.json").read_bytes())
    except (FileNotFoundError, NotADirectoryError, ValidationError):
        return Installed()


def _finding(manifest: HubManifest, root: Path, network: str, *, deep: bool) -> Finding | None:
    try:
        return _compared(manifest, root, network, deep=deep)
    except OSError as error:  # such as a volume that another user may read
        return Finding(network, f"cannot be read ({error.strerror or type(error).__name__})")


def _compared(manifest: HubManifest, root: Path, network: str, *, deep: bool) -> Finding | None:
    folder = root / manifest.name
    path = folder / f"{network}.safetensors"
    record = read_installed(folder).files.get(network)
    _, pin = manifest.pins()[network]
    if record is None or not path.is_file():
        return Finding(network, "is missing")
    if record.source_sha256 != pin.sha256:
        return Finding(network, f"was made from another file than the pinned {pin}")
    if path.stat().st_size != record.size:
        return Finding(network, f"has {path.stat().st_size} bytes, not {record.size}")
    if deep and (found := sha256_of(path)) != record.sha256:
        return Finding(network, f"has sha256 {found}, not {record.sha256}")
    return None


def _record(folder: Path, network: str, source: HubSource, pin: Pin, target: Path) -> None:
    entry = InstalledFile(
        repo=pin.repo,
        revision=pin.revision,
        path=pin.path,
        source_sha256=pin.sha256,
        licence=source.licence,
        licence_url=source.licence_url,
        sha256=sha256_of(target),
        size=target.stat().st_size,
        pulled_at=datetime.now(UTC),
    )
    files = {**read_installed(folder).files, network: entry}
    text = json.dumps(Installed(files=files).model_dump(mode="json"), indent=2) + "\n"
    _replace(folder / "installed.json", lambda new: new.write_text(text))


def _replace(target: Path, write: Callable[[Path], object]) -> None:
    """Write beside the target and move it into place: never half a file under the final name."""
    new = target.with_name(f".{target.name}.new")
    try:
        write(new)
        new.replace(target)
    finally:
        new.unlink(missing_ok=True)
