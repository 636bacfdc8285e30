"""LiteRT tells standard error, once a process, that it made its kernels; no option keeps it quiet.

Where a service's log is one JSON document per line, and a command's output is read by people, that
line is noise. Everything else that is written meanwhile is passed on.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

_NOISE = b"INFO: Created TensorFlow Lite XNNPACK delegate"


@contextmanager
def without_greeting() -> Iterator[None]:
    """Leave LiteRT's line out of what is written to standard error inside."""
    with ExitStack() as stack:
        try:
            held = stack.enter_context(tempfile.TemporaryFile())
            kept = os.dup(2)
        except OSError:  # no room, or no standard error: then it greets
            yield
            return
        sys.stderr.flush()
        os.dup2(held.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(kept, 2)
            os.close(kept)
            held.seek(0)
            rest = [line for line in held if not line.startswith(_NOISE)]
            if rest:
                os.write(2, b"".join(rest))
