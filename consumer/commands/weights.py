"""`face2face weights`: pull or verify model files."""

from __future__ import annotations

import errno
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import click

from consumer.caches import package_index, weights_root
from consumer.commands.local import typed_errors
from consumer.local.console import CommandError, emit, say, tell
from consumer.local.options import JSON_FLAG
from schemas.codes import ErrorCode, Stage


class _Name(click.Choice[str]):
    """What can be fetched; a name that cannot is told what to do instead."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Refuse wav2lip with the folder that its checkpoint belongs into."""
        if value == "wav2lip":
            folder = weights_root() / value
            self.fail(f"a checkpoint for wav2lip is your own: put it into {folder}", param, ctx)
        return super().convert(value, param, ctx)


NAME = click.argument("name", type=_Name(["faces", "musetalk"]))


@click.group()
def weights() -> None:
    """Pull or verify model files. They live in the user's cache, never in the repository.

    `faces` is what every engine needs; `musetalk` serves the engines musetalk and musetalk-fast.
    A checkpoint for wav2lip is your own: put it into the folder wav2lip of the weights.
    """


@weights.command("pull", short_help="Fetch model files, check them, convert them once.")
@NAME
@JSON_FLAG
def weights_pull(name: str, as_json: bool) -> None:
    """Fetch model files by pinned revision and digest, and convert them once."""
    with typed_errors(), _writing():
        where = _pull_faces() if name == "faces" else _pull_musetalk()
    _done(name, "pulled", where, as_json)


@weights.command("verify")
@NAME
@JSON_FLAG
def weights_verify(name: str, as_json: bool) -> None:
    """Check that model files are there and unchanged."""
    with typed_errors():
        where = _verify_faces() if name == "faces" else _verify_musetalk()
    _done(name, "verified", where, as_json)


@contextmanager
def _writing() -> Iterator[None]:
    """Say whose folder it is that cannot be written, or that has no room."""
    try:
        yield
    except OSError as error:
        root, why = weights_root(), error.strerror or type(error).__name__
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise CommandError.plain(
                ErrorCode.SCRATCH_FULL,
                Stage.FETCH,
                f"weights do not fit into {root}: {why}; free some room there, or set"
                " F2F_WEIGHTS_DIR to a folder on another disk",
            ) from error
        raise CommandError.usage(
            f"weights cannot be kept in {root}: {why}; set F2F_WEIGHTS_DIR to a folder that this"
            " user may write",
            folder=str(root),
        ) from error


def _pull_faces() -> Path:
    from pipeline.weights import pull_faces

    return pull_faces(announce=say, index_url=package_index())


def _verify_faces() -> Path:
    from pipeline.weights import verify_faces

    return verify_faces()


def _musetalk() -> ModuleType:
    try:
        return import_module("pipeline.engines.musetalk.weights")
    except ImportError as error:
        raise CommandError.of(
            ErrorCode.ENGINE_UNAVAILABLE,
            Stage.GENERATE,
            f"{error}; the engine musetalk needs its extra: pip install 'face2face[musetalk]'",
        ) from error


def _pull_musetalk() -> Path:
    musetalk = _musetalk()
    from pipeline.weights import weights_root

    with click.progressbar(length=1, label="fetching", file=sys.stderr) as bar:

        def on_bytes(here: int, whole: int) -> None:
            bar.length = max(1, whole)
            bar.update(here - bar.pos)

        musetalk.pull(weights_root(), say, on_bytes)
    return weights_root() / "musetalk"


def _verify_musetalk() -> Path:
    musetalk = _musetalk()
    from pipeline.weights import weights_root

    findings = musetalk.verify(weights_root())
    if findings:
        found = "; ".join(f"{finding.network} {finding.problem}" for finding in findings)
        raise CommandError.of(
            ErrorCode.WEIGHTS_MISSING,
            Stage.GENERATE,
            f"weights of musetalk: {found}; run `face2face weights pull musetalk`",
            networks=[finding.network for finding in findings],
        )
    return weights_root() / "musetalk"


def _done(name: str, what: str, where: Path, as_json: bool) -> None:
    if as_json:
        emit({"weights": name, "status": what, "path": str(where)})
    else:
        tell(f"{name}: {what}, {where}")
