"""Scratch folders as a replica opens them."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from consumer.scratch import Scratch
from tests.support.handles import S3Handle
from tests.support.work import settings_for


def open_scratch(folder: Path, **changes: Any) -> Scratch:
    nowhere = S3Handle("none", "http://127.0.0.1:9", "a", "b", frozenset(), "bucket")
    scratch = Scratch(settings_for(nowhere, folder, **changes))
    scratch.open()
    return scratch


def age(path: Path) -> None:
    """Make a file or folder nearly three hours old."""
    past = time.time() - 10_000
    os.utime(path, (past, past), follow_symlinks=False)
