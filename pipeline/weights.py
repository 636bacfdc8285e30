"""The face models: taken as data out of a published wheel, converted once, then offline.

The wheel of mediapipe 0.10.21 carries them (Apache-2.0). Installing it would bring 600 MB and pin
numpy below 2, so it is downloaded, checked by digest, and never imported: two files are unpacked,
converted to safetensors and a graph in JSON, and the wheel is dropped.

    <root>/faces/<revision>/detector.{json,safetensors}   finds faces (short range, 128 px)
    <root>/faces/<revision>/mesh.{json,safetensors}       478 points (with attention, 192 px)
    <root>/faces/<revision>/installed.json                digests of the above, written last
"""

from __future__ import annotations

import fcntl
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from pipeline.errors import WeightsMissing
from pipeline.hub_fetch import sha256_of
from schemas.codes import Stage
from schemas.render import WeightFacts
from schemas.request import Contract

if TYPE_CHECKING:
    from pipeline.faces.graph import Model

PACKAGE = "mediapipe"
VERSION = "0.10.21"
REVISION = f"{PACKAGE}-{VERSION}-r1"
"""Changes with the wheel and with the form that we convert to."""
WHEEL_SHA256 = "05dc4a9e593655a79558d05d6227d31018c2537a4bd3362b51e230cf22aecfe3"
_WHEEL_TAGS = (
    *("--platform", "manylinux_2_28_x86_64"),
    *("--python-version", "3.11", "--implementation", "cp", "--abi", "cp311"),
)
PULL = "run `face2face weights pull faces`"
TIMEOUT_S = 900.0
"""For the 36 MB of the wheel, on a slow line."""

Announce = Callable[[str], None]
"""Say one sentence to the person who pulls."""


@dataclass(frozen=True, slots=True)
class Member:
    """One file of the wheel."""

    name: str
    path: str
    sha256: str


MEMBERS = (
    Member(
        "detector",
        "mediapipe/modules/face_detection/face_detection_short_range.tflite",
        "bbff11cebd1eb27a1e004cae0b0e63ec8c551cbf34a4451148b4908b8db3eca8",
    ),
    Member(
        "mesh",
        "mediapipe/modules/face_landmark/face_landmark_with_attention.tflite",
        "e06a804e0144f9929eda782122916b35d60c697c3c9344013ca2bbe76a6ce2b4",
    ),
)


@dataclass(frozen=True, slots=True)
class FaceModels:
    """Both models, as loaded from disk."""

    detector: Model
    mesh: Model


class _Installed(Contract):
    """`installed.json`: written last, so that a folder with it is whole."""

    wheel_sha256: str
    files: dict[str, str]
    """Name to sha256."""


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
        root: folder of all weights; default is `weights_root()`.
        announce: told what happens.
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
    with _alone(folder.parent):
        if _problem(folder) is None:
            announce(f"face models: already in {folder}")
            return folder
        announce(f"face models: fetching {PACKAGE} {VERSION} (Apache-2.0), 36 MB, as data")
        with tempfile.TemporaryDirectory(prefix=".pull-", dir=folder.parent) as temporary:
            scratch = Path(temporary)
            wheel = _download(scratch, index_url)
            made = _convert(wheel, scratch / "made")
            if folder.exists():
                shutil.rmtree(folder)
            made.rename(folder)
        announce(f"face models: checked and converted, in {folder}")
    return folder


def verify_faces(root: Path | None = None) -> Path:
    """Compare every file with what was recorded when it was made.

    Returns:
        The folder that holds them.

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
        record = _Installed.model_validate_json((folder / "installed.json").read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return "nothing is installed"
    except ValidationError:
        return "installed.json cannot be read"
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


def _download(scratch: Path, index_url: str | None) -> Path:
    """The wheel, by pip, which knows the user's index, proxy, certificates and credentials."""
    wanted = scratch / "requirements.txt"
    pin = f"{PACKAGE}=={VERSION} --hash=sha256:{WHEEL_SHA256}\n"
    # In the file and not among the arguments, where other users of the machine could read it.
    wanted.write_text((f"--index-url {index_url}\n" if index_url else "") + pin)
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-input", "--no-deps"]
    command += ["--disable-pip-version-check", "--only-binary", ":all:", *_WHEEL_TAGS]
    command += ["--require-hashes", "--requirement", str(wanted), "--dest", str(scratch)]
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise _unfetched(f"pip took longer than {TIMEOUT_S:.0f} s") from error
    wheels = list(scratch.glob("*.whl"))
    if done.returncode != 0 or len(wheels) != 1:
        raise _unfetched(" ".join(done.stderr.split())[-600:] or f"pip ended {done.returncode}")
    _check("the wheel", sha256_of(wheels[0]), WHEEL_SHA256)
    return wheels[0]


def _convert(wheel: Path, made: Path) -> Path:
    """Unpack two files and write our form of them."""
    from pipeline.faces import graph, tflite_file

    made.mkdir()
    files: dict[str, str] = {}
    with zipfile.ZipFile(wheel) as archive:
        for member in MEMBERS:
            source = made / f"{member.name}.tflite"
            source.write_bytes(archive.read(member.path))
            _check(member.path, sha256_of(source), member.sha256)
            written = graph.save(tflite_file.read(member.name, source.read_bytes()), made)
            files.update({path.name: sha256_of(path) for path in written})
            source.unlink()
    record = _Installed(wheel_sha256=WHEEL_SHA256, files=files)
    (made / "installed.json").write_text(record.model_dump_json(indent=2) + "\n")
    return made


def _check(what: str, found: str, pinned: str) -> None:
    if found != pinned:
        raise _unfetched(f"{what} has sha256 {found}, pinned is {pinned}: it was not used")


def _unfetched(reason: str) -> WeightsMissing:
    return WeightsMissing(
        f"face models could not be fetched: {reason}; check the package index that pip is"
        f" configured with, then {PULL}",
        stage=Stage.FETCH,
        package=f"{PACKAGE}=={VERSION}",
    )


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Only one pull at a time works in a folder; a second one waits."""
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
