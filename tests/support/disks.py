"""A small disk of a process's own, to run full."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from tests.support.capabilities import unavailable


def own_disk(folder: Path, size: int) -> list[str]:
    """A command prefix that gives a process a disk of some bytes, in its own name space.

    Skips the test where the machine refuses it, or fails it under F2F_TEST_STRICT=1.
    """
    folder.mkdir()
    prefix = ["unshare", "--mount", "--map-root-user", "sh", "-c"]
    mount = f'mount -t tmpfs -o size={size} tmpfs "{folder}" && exec "$@"'
    command = [*prefix, mount, "sh"]
    if shutil.which("unshare") is None or not _works(command):
        unavailable("no disk of one's own here: `unshare --mount --map-root-user` is refused")
    return command


def _works(prefix: list[str]) -> bool:
    return subprocess.run([*prefix, "true"], capture_output=True, check=False).returncode == 0
