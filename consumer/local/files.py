"""Files that a command is given, or is to write: what is wrong with them, before any work."""

from __future__ import annotations

import os
import re
from pathlib import Path

from consumer.local.console import CommandError
from schemas.codes import ErrorCode, Stage

_LOCATION = re.compile(r"(s3|https?):/")
"""So begins one, as `Path` has it: of two slashes it keeps one."""


_PIPE = Path("-")
"""What other programs take for their standard input or output."""


def why_unreadable(path: Path) -> str | None:
    """Why a file cannot be read, to be put behind its name; None when it can."""
    try:
        if path.is_dir():
            return "is a folder"
        if not path.exists():
            return (
                "does not exist" if path != _PIPE else "is no file; put what a pipe brings into one"
            )
        if not path.is_file():
            return "is no regular file"
        path.open("rb").close()
    except OSError as error:  # no permission on the way, or a name that no file can have
        return f"cannot be read: {error.strerror}"
    return None


def existing(path: Path, option: str) -> Path:
    """A file that can be read.

    Raises:
        CommandError: INPUT_NOT_FOUND, with the option, the path and the reason.
    """
    why, name = why_unreadable(path), str(path)
    if why is not None and _LOCATION.match(name):
        why = "is a location, and this command takes files of this machine alone"
        name = name.replace(":/", "://", 1)
    if why is not None:
        raise CommandError.of(
            ErrorCode.INPUT_NOT_FOUND,
            Stage.PROBE,
            f"{option} {name!r} {why}".strip(),
            option=option,
            path=str(path),
        )
    return path


def check_output(output: Path, *inputs: Path | str) -> None:
    """Refuse an output that cannot be written, or whose writing would destroy something.

    Args:
        output: a file; folders on its way may be missing.

    Raises:
        CommandError: named with its reason.
    """
    shown = f"--output {str(output)!r}"
    try:
        wrong = _why_unwritable(output, inputs)
    except OSError as error:
        wrong = f"cannot be written: {error.strerror}"
    if wrong is not None:
        raise CommandError.usage(f"{shown} {wrong}")


def _why_unwritable(output: Path, inputs: tuple[Path | str, ...]) -> str | None:
    if output == _PIPE:
        return "is no file, and nothing is written into a pipe; name a file"
    if output.is_dir():
        return "is a folder; name a file"
    if output.exists():
        if not output.is_file():
            return "is no regular file and would be replaced; name another"
        # os.path, since it calls names that no file can have absent: locations may be long
        if any(os.path.exists(given) and output.samefile(given) for given in inputs):  # noqa: PTH110
            return "is an input and would be lost; name another file"
    folder = next(above for above in output.absolute().parents if above.exists())
    if not folder.is_dir():
        return f"lies in {str(folder)!r}, which is no folder; name another"
    if not os.access(folder, os.W_OK | os.X_OK, effective_ids=True):
        return f"lies in {str(folder)!r}, which you may not write into; name another"
    return None
