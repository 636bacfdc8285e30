"""What a run left behind: records of the topics, objects of the bucket, commits of the group.

Plain facts, and how to read them with plain clients. Nothing here knows the service's code.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple


class Place(NamedTuple):
    """Where a record lies."""

    topic: str
    partition: int
    offset: int


@dataclass(frozen=True)
class Rec:
    """One record as the broker has it."""

    place: Place
    at_ms: int
    """When the broker appended it (the topics of these tests say LogAppendTime)."""
    key: bytes | None
    value: bytes | None
    headers: Mapping[str, str] = field(default_factory=dict)
    """Text; the last of a repeated name."""


@dataclass(frozen=True)
class Obj:
    """One object as the store has it."""

    size: int
    sha256: str
    """Of its bytes as they were read."""
    data: bytes | None = None
    """Its bytes, when it is no MP4."""


@dataclass(frozen=True)
class GroupCommit:
    """One commit of the consumer group, as the broker wrote it down."""

    topic: str
    partition: int
    offset: int
    finished: tuple[tuple[int, int], ...]
    """Half-open runs of finished offsets above it, from the metadata."""
    at_ms: int


@dataclass
class History:
    """Everything that the checker looks at."""

    requests: list[Rec] = field(default_factory=list)
    retries: list[Rec] = field(default_factory=list)
    completed: list[Rec] = field(default_factory=list)
    failed: list[Rec] = field(default_factory=list)
    dead: list[Rec] = field(default_factory=list)
    objects: dict[str, Obj] = field(default_factory=dict)
    """By key."""
    uploads: list[str] = field(default_factory=list)
    """Keys of multipart uploads that are not complete."""
    commits: list[GroupCommit] = field(default_factory=list)
    """In the order in which the broker took them."""
    starts: dict[str, int] = field(default_factory=dict)
    """Renders that started, by job id: the null renderer's own log."""
    seen: dict[str, set[tuple[int, str]]] = field(default_factory=dict)
    """Sizes and ETags under which each object of `results/` was ever seen during the run."""
    kills: int = 0
    """Processes that were killed."""
    slots: int = 1
    """Renders that one kill can break off."""
    expected: dict[str, str] = field(default_factory=dict)
    """SHA-256 that a job's MP4 must have, where the test knows it."""
    now_ms: int = 0
