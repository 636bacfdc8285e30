"""Why the brokers refuse what aiokafka sends again by itself.

An idempotent producer sends again for as long as it lives, and says why in its own log alone: too
few in-sync replicas, most of all.
"""

from __future__ import annotations

import logging
from typing import Final

from aiokafka import TopicPartition

_LOGGER = "aiokafka.producer.sender"
_NOT_ENOUGH = "NotEnoughReplicas"
_ADVICE = "fewer replicas are in sync than min.insync.replicas asks for; start the missing brokers"


class Complaints(logging.Filter):
    """Listens to the client's log; lets through what its level let through before."""

    def __init__(self) -> None:
        super().__init__()
        self._last: dict[str, str] = {}
        self._least = logging.NOTSET

    def listen(self) -> None:
        """Hear the client's warnings from now on; twice is once."""
        logger = logging.getLogger(_LOGGER)
        if self not in logger.filters:
            self._least = logger.getEffectiveLevel()
            logger.setLevel(min(self._least, logging.WARNING))
            logger.addFilter(self)

    def last(self, topic: str) -> str | None:
        """Why a topic's last record was refused; None when that was never said."""
        return self._last.get(topic)

    def filter(self, record: logging.LogRecord) -> bool:
        """Keep what is said of a topic; True for what the log shall show."""
        match record.args:
            case (TopicPartition(topic=str(topic)), error):
                why = getattr(error, "__name__", None) or repr(error)
                self._last[topic] = f"{why}: {_ADVICE}" if _NOT_ENOUGH in why else why
        return record.levelno >= self._least


COMPLAINTS: Final = Complaints()
"""One, as there is one log."""
