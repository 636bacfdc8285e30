"""Reads `deploy/topics.yaml`: which topics there shall be, with which partitions and configs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from consumer.json_findings import reasons
from schemas.topics import Topics

_HERE = Path(__file__).parent
PLACES = (_HERE / "topics.yaml", _HERE.parents[1] / "deploy" / "topics.yaml")
"""In an installed package, and in a checkout."""


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
    return next((path for path in PLACES if path.is_file()), PLACES[-1])


def read(path: Path) -> WantedTopics:
    """Read and check a file.

    Raises:
        TopicsFileError: it is missing or not valid, or lacks a topic that the service needs.
    """
    import yaml

    try:
        wanted = WantedTopics.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise TopicsFileError(f"{path}: {error.strerror}") from error
    except ValidationError as error:
        raise TopicsFileError(f"{path}: {reasons(error)}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise TopicsFileError(f"{path}: {error}") from error
    missing = set(Topics("").all()) - {f".{name}" for name in wanted.topics}
    if missing:
        names = ", ".join(sorted(name.lstrip(".") for name in missing))
        raise TopicsFileError(f"{path}: the service needs these topics too: {names}")
    return wanted
