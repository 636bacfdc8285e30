"""Why connections to the brokers fail: aiokafka tries again, and says so in its log alone.

What it is asked meanwhile ends in time-outs, as if brokers hung that refuse a password.
"""

from __future__ import annotations

import logging
import time
from typing import Final

from aiokafka.errors import SaslAuthenticationFailed

_LOGGER = "aiokafka"
_SAID = "Unable connect to "
_LATELY_S = 30.0
"""An older failure says nothing of why there is no answer now."""


class ConnectionErrors(logging.Filter):
    """Listens to the client's log, and lets all of it through."""

    def __init__(self) -> None:
        super().__init__()
        self._last: Exception | None = None
        self._at = 0.0

    def listen(self) -> None:
        """Hear it from now on; twice is once."""
        logging.getLogger(_LOGGER).addFilter(self)

    def lately(self) -> Exception | None:
        """Why the last connection failed; None when none did lately."""
        return self._last if time.monotonic() - self._at < _LATELY_S else None

    def filter(self, record: logging.LogRecord) -> bool:
        """Keep why a connection failed."""
        match record.args:
            case (*_, Exception() as error) if record.msg.startswith(_SAID):
                self._last, self._at = error, time.monotonic()
        return True


def told(error: Exception) -> str:
    """An error in words: a time-out, as of brokers behind a firewall that drops, has none."""
    return str(error) or type(error).__name__


CONNECTION_ERRORS: Final = ConnectionErrors()
"""One, as there is one log."""


def refuses_login(error: Exception | None) -> bool:
    """Whether the brokers took neither name nor password: asking again brings nothing."""
    return isinstance(error, SaslAuthenticationFailed)
