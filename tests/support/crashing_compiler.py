"""A renderer that cannot be imported where networks are compiled: the process crashes."""

from __future__ import annotations

import os
import signal
import sys

from tests.support.null_render import engines, render

__all__ = ["engines", "render"]

if sys.argv[sys.argv.index("--networks") + 1] == "compiled":
    os.kill(os.getpid(), signal.SIGSEGV)
