"""The face models: brought once (`pipeline.face_wheel`), then loaded without any network.

They lie under the root of all weights:

    faces/<revision>/detector.{json,safetensors}   finds faces (short range, 128 px)
    faces/<revision>/mesh.{json,safetensors}       478 points (with attention, 192 px)
    faces/<revision>/installed.json                digests of the above, written last
"""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError
from safetensors import SafetensorError

from pipeline.errors import WeightsMissing, in_one_line
from pipeline.face_wheel import MEMBERS, PACKAGE, PULL, VERSION, Installed, convert, download
from pipeline.file_digest import sha256_of
from pipeline.pulling import Announce, alone
from schemas.codes import Stage
from schemas.render import WeightFacts

if TYPE_CHECKING:
    from pipeline.faces.graph import Model

REVISION = f"{PACKAGE}-{VERSION}-r1"
"""Changes with the wheel and with the form that we convert to."""
_SCRATCH = ".pull-"


@dataclass(frozen=True, slots=True)
class FaceModels:
    """Both models, as loaded from disk."""

    detector: Model
    mesh: Model


def default_root() -> Path:
    """`~/.cache/face2face/weights`."""
    return Path.home() / ".cache" / "face2face" / "weights"


_chosen: list[Path] = []


def use_weights_root(root: Path) -> None:
    """Say once per process where weights live; the caller has read its settings for it."""
    _chosen[:] = [root]


def weights_root() -> Path:
    """Folder of all weights of this process: what was chosen, else `default_root`."""
    return _chosen[0] if _chosen else default_root()


def pull_faces(
    root: Path | None = None,
    announce: Announce = lambda _text: None,
    *,
    index_url: str | None = None,
) -> Path:
    """Bring, check and convert the face models; quick when they are there and right.

    Args:
        index_url: package index to ask; default is pip's own configuration.

    Returns:
        The folder that holds them.

    Raises:
        WeightsMissing: the index cannot be reached, or a file is not the pinned one.
        OSError: the folder cannot be written.
    """
    folder = _folder(root)
    if _problem(folder) is None:  # before the lock, which a folder for reading alone cannot hold
        announce(f"face models: already in {folder}")
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with alone(folder.parent, announce, _SCRATCH + "*"):
        if _problem(folder) is None:
            announce(f"face models: already in {folder}")
            return folder
        announce(f"face models: fetching {PACKAGE} {VERSION} (Apache-2.0), 36 MB, as data")
        with tempfile.TemporaryDirectory(prefix=_SCRATCH, dir=folder.parent) as temporary:
            scratch = Path(temporary)
            wheel = download(scratch, index_url)
            made = convert(wheel, scratch / "made")
            if folder.exists():
                shutil.rmtree(folder)
            made.rename(folder)
        announce(f"face models: checked and converted, in {folder}")
    return folder


def verify_faces(root: Path | None = None) -> Path:
    """Compare every file with what was recorded when it was made; the folder that holds them.

    Raises:
        WeightsMissing: a file is missing or changed; names it and the command that brings it.
    """
    folder = _folder(root)
    problem = _problem(folder)
    if problem:
        raise _missing(folder, problem)
    return folder


def load_faces(root: Path | None = None) -> FaceModels:
    """The face models, from this machine's disk alone.

    Raises:
        WeightsMissing: they are not here; names the command that brings them.
    """
    from pipeline.faces import graph  # brings torch, which checking and pulling do not need

    folder = _folder(root)
    try:
        return FaceModels(graph.load("detector", folder), graph.load("mesh", folder))
    except (FileNotFoundError, NotADirectoryError) as error:
        raise _missing(folder, f"{Path(str(error.filename or folder)).name} is missing") from error
    except (SafetensorError, ValidationError, OSError) as error:
        raise _missing(folder, f"they cannot be read ({in_one_line(error)})") from error


def face_facts() -> list[WeightFacts]:
    """What a render reports of them: the published files, not our conversion."""
    return [
        WeightFacts(name=Path(m.path).name, revision=f"{PACKAGE} {VERSION}", sha256=m.sha256)
        for m in MEMBERS
    ]


def _folder(root: Path | None) -> Path:
    return (root or weights_root()) / "faces" / REVISION


def _problem(folder: Path) -> str | None:
    """What is wrong with a folder, in words; 3 MB are read."""
    try:
        record = Installed.model_validate_json((folder / "installed.json").read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return "nothing is installed"
    except (ValidationError, OSError) as error:
        return f"installed.json cannot be read ({in_one_line(error)})"
    for name, sha256 in record.files.items():
        path = folder / name
        if not path.is_file():
            return f"{name} is missing"
        if (found := sha256_of(path)) != sha256:
            return f"{name} has sha256 {found}, not {sha256}"
    return None


def _missing(folder: Path, problem: str) -> WeightsMissing:
    return WeightsMissing(
        f"face models: {problem} in {folder}; {PULL}", stage=Stage.TRACK, folder=str(folder)
    )
