"""What is started and stopped: by hand, or by a `with` block around its use."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Self


class Startable(ABC):
    """Runs between `start` and `stop`."""

    @abstractmethod
    def start(self) -> None:
        """Start it; returns when it can be used."""

    @abstractmethod
    def stop(self) -> None:
        """Stop it; harmless where it does not run."""

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
