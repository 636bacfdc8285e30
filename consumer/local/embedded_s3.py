"""The child process of `consumer.local.embedded`: moto's S3 on loopback until stdin ends.

Usage: `python -m consumer.local.embedded_s3 PORT` (0 picks one). Prints `{"port": N}` when it
listens.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
import sys
import threading


def main() -> None:
    """Serve until stdin ends (the parent is gone) or a signal says stop."""
    # A group signal such as Ctrl-C is the parent's to handle: it still needs the store to drain.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import make_server

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 0
    app = DomainDispatcherApplication(create_backend_app)
    server = make_server("127.0.0.1", port, app, threaded=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.stdout.write(json.dumps({"port": server.server_port}) + "\n")
    sys.stdout.flush()
    with contextlib.suppress(KeyboardInterrupt):
        sys.stdin.read()
    os._exit(0)  # open connections must not hold the end up; nothing here is worth flushing


if __name__ == "__main__":
    main()
