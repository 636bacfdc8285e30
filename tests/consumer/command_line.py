"""The command line, run as a script would run it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from typing import Any


def face2face(
    *arguments: str, env: Mapping[str, str] | None = None, timeout_s: float = 300
) -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own, as a script would."""
    return subprocess.run(
        [sys.executable, "-m", "consumer.cli", *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, **(env or {})},
        timeout=timeout_s,
        check=False,
    )


def only_object(stdout: str) -> dict[str, object]:
    """The one JSON object on stdout."""
    lines = stdout.splitlines()
    assert len(lines) == 1, stdout
    value: dict[str, object] = json.loads(lines[0])
    return value


def error_of(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    """What the one object on a command's stdout says went wrong."""
    error = only_object(done.stdout)["error"]
    assert isinstance(error, dict)
    return error
