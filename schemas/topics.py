"""Names of the topics. A deployment may put another prefix before them; the parts stay."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Topics:
    """The topics under one prefix (default `face2face`)."""

    prefix: str = "face2face"

    @property
    def requests(self) -> str:
        """Upstream writes one job per record."""
        return f"{self.prefix}.requests"

    @property
    def retry(self) -> str:
        """Transient failures with a due time; only we write here."""
        return f"{self.prefix}.requests.retry"

    @property
    def dlq(self) -> str:
        """Raw bytes of what cannot be processed."""
        return f"{self.prefix}.requests.dlq"

    @property
    def completed(self) -> str:
        """Outcomes of jobs that succeeded."""
        return f"{self.prefix}.completed"

    @property
    def failed(self) -> str:
        """Outcomes of jobs that failed for good."""
        return f"{self.prefix}.failed"

    @property
    def progress(self) -> str:
        """Signs of life of running jobs."""
        return f"{self.prefix}.progress"

    @property
    def control(self) -> str:
        """Upstream's wishes about jobs; read by every replica."""
        return f"{self.prefix}.control"

    def all(self) -> tuple[str, ...]:
        """Every topic, in the order of the story."""
        return (
            self.requests,
            self.completed,
            self.failed,
            self.progress,
            self.control,
            self.retry,
            self.dlq,
        )
