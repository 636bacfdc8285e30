"""Drops what a library says again and again: an outage of brokers gave a hundred lines a second.

Clients that try again say each time that they could not. What is new in a line is heard at once.
"""

from __future__ import annotations

import logging
import time
from collections import OrderedDict

SILENT_S = 30.0
"""Between two lines with the same text."""
MOST_REMEMBERED = 256


class Repeats(logging.Filter):
    """Lets a text of a library pass once in a while, with the number of lines it stands for."""

    def __init__(self, *names: str) -> None:
        super().__init__()
        self._names = tuple(f"{name}." for name in names)
        self._said: OrderedDict[tuple[str, str], tuple[float, int]] = OrderedDict()

    def filter(self, record: logging.LogRecord) -> bool:
        """False for a line that was said lately."""
        if not f"{record.name}.".startswith(self._names):
            return True
        try:
            now, key = time.monotonic(), (record.name, record.getMessage())
        except (TypeError, ValueError):  # the handler says which line does not fit its values
            return True
        at, dropped = self._said.get(key, (-SILENT_S, 0))
        if now - at < SILENT_S:
            self._said[key] = (at, dropped + 1)
            return False
        self._said[key] = (now, 0)
        self._said.move_to_end(key)
        while len(self._said) > MOST_REMEMBERED:
            self._said.popitem(last=False)
        if dropped:
            record.msg, record.args = f"{key[1]} (and {dropped} times before)", ()
        return True
