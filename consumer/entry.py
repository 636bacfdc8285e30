"""Where the script `face2face` begins: before a command can answer Ctrl-C, it ends in silence."""

from __future__ import annotations

import os
import signal
from importlib import import_module

STOPPED = 130
"""As `consumer.local.console` has it, which is not loaded yet."""


def main() -> None:
    """Load the command line and run it."""
    before = signal.getsignal(signal.SIGINT)
    if before is signal.default_int_handler:
        signal.signal(signal.SIGINT, lambda *_: os._exit(STOPPED))
    import_module("consumer.settings")  # every command needs it: half of what is to be loaded
    from consumer.cli import main as command

    signal.signal(signal.SIGINT, before)
    command()


if __name__ == "__main__":
    main()
