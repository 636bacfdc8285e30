"""Reads `deploy/topics.yaml`: which topics there shall be, with which partitions and configs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from consumer.shipped_files import read_yaml, shipped
from schemas.topics import Topics


class TopicsFileError(ValueError):
    """The file cannot be used; the text names it and says what is wrong in it."""


class WantedTopic(BaseModel):
    """One topic as it shall be."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    partitions: Annotated[int, Field(ge=1, le=10_000)]
    config: dict[str, str] = Field(default_factory=dict)


class WantedTopics(BaseModel):
    """The whole file; `topics` by their names without the prefix."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    replication_factor: Annotated[int, Field(ge=1, le=100)] = 3
    topics: dict[str, WantedTopic]

    def named(self, prefix: str) -> dict[str, WantedTopic]:
        """Topics by their full names."""
        return {f"{prefix}.{name}": topic for name, topic in self.topics.items()}


def default_path() -> Path:
    """The file that comes with this installation."""
    return shipped(__file__, "topics.yaml")


def read(path: Path) -> WantedTopics:
    """Read and check a file.

    Raises:
        TopicsFileError: it is missing or not valid, or lacks a topic that the service needs.
    """
    wanted = read_yaml(path, WantedTopics, TopicsFileError)
    missing = set(Topics("").all()) - {f".{name}" for name in wanted.topics}
    if missing:
        names = ", ".join(sorted(name.lstrip(".") for name in missing))
        raise TopicsFileError(f"{path}: the service needs these topics too: {names}")
    return wanted
