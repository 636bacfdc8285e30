"""The worker child: takes renders as JSON lines on stdin, answers on what was its stdout.

The only process of the service that imports the pipeline, and with it torch. It gets files and a
scratch folder, no credentials, and it dies with its parent: by the kernel (PDEATHSIG) and by the
end of its stdin. Each render runs in a thread of its own; a heartbeat thread shows that the process
lives. A CUDA error ends the process at once, because the context cannot be used any more; so does a
GPU that does not answer any more.

    python -m consumer.workers.worker_main --device cpu [--warm ENGINE] [--render MODULE:FUNCTION] …

FUNCTION has the signature of `pipeline.render.render`; MODULE also has `engines()`, and may have
`avatar_folders(device)`.
"""

from __future__ import annotations

import argparse
import ctypes
import faulthandler
import os
import signal
import sys
from typing import BinaryIO

from consumer.workers.protocol import PIPELINE
from consumer.workers.rendering import let_the_log_speak, use_settings, use_weights_root
from consumer.workers.serving import Server
from schemas.device import WAYS

MAX_FILE_BYTES = 64 * 1024**3
"""No file of a job comes near it; a writer gone wild meets it before the disk is full."""
_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Serve until stdin ends."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--warm", default=None, metavar="ENGINE")
    parser.add_argument("--processors", type=int, default=0, help="for all its jobs; 0: all")
    parser.add_argument("--networks", default=WAYS[0], choices=WAYS, help="at best, on a GPU")
    parser.add_argument("--max-file-bytes", type=int, default=MAX_FILE_BYTES)
    parser.add_argument("--render", default=PIPELINE, metavar="MODULE:FUNCTION")
    options = parser.parse_args()
    _die_with_parent()
    from pipeline.sandbox import limit_process

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's: it drains first
    faulthandler.enable()
    limit_process(options.max_file_bytes)
    use_weights_root()
    use_settings(options.processors, options.networks)
    let_the_log_speak()
    server = Server(_take_stdout(), options.device, options.warm)
    server.serve(options.render)


def _die_with_parent() -> None:
    parent = os.getppid()
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(0)


def _take_stdout() -> BinaryIO:
    """Keep the pipe to the parent for messages alone: what libraries print goes to stderr."""
    pipe = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)
    return pipe


if __name__ == "__main__":
    main()
