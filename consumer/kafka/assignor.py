"""Which replica of a group reads which partitions: each topic is shared out on its own.

The client's sticky assignor counts the partitions of all topics together. To a second replica it
gave the whole retry topic, where there is next to nothing to do, and every request stayed with the
first. Topic by topic nobody has more than one partition beyond another, and as few move as before.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from aiokafka.cluster import ClusterMetadata
from aiokafka.coordinator.assignors.sticky.sticky_assignor import StickyPartitionAssignor
from aiokafka.coordinator.protocol import (
    ConsumerProtocolMemberAssignment,
    ConsumerProtocolMemberMetadata,
)

Members = Mapping[str, ConsumerProtocolMemberMetadata]
Shares = dict[str, ConsumerProtocolMemberAssignment]


class StickyByTopic(StickyPartitionAssignor):  # type: ignore[misc]
    """The sticky assignor, asked for one topic at a time; the group knows it by the same name.

    Whoever leads the group assigns, so replicas of releases without this may be members, too.
    """

    @classmethod
    def assign(cls, cluster: ClusterMetadata, members: Members) -> Shares:
        """Every member's partitions."""
        topics = sorted({topic for each in members.values() for topic in each.subscription})
        found: defaultdict[str, list[tuple[str, list[int]]]] = defaultdict(list)
        for topic in topics:
            asked = {name: cls._narrowed(each, topic) for name, each in members.items()}
            for name, share in super().assign(_OneTopic(cluster, topic), asked).items():
                found[name] += share.assignment
        version = cls.version
        return {n: ConsumerProtocolMemberAssignment(version, found[n], b"") for n in members}

    @classmethod
    def _narrowed(
        cls, member: ConsumerProtocolMemberMetadata, topic: str
    ) -> ConsumerProtocolMemberMetadata:
        """What a member wants, and had before, of one topic."""
        told = cls.parse_member_metadata(member)
        wanted = [each for each in told.subscription if each == topic]
        had = [each for each in told.partitions if each.topic == topic]
        return cls._metadata(wanted, had, told.generation)


class _OneTopic:
    """A cluster that has one topic: the assignor looks at all that its leader knows."""

    def __init__(self, cluster: ClusterMetadata, topic: str) -> None:
        self._cluster, self._topic = cluster, topic

    def topics(self) -> set[str]:
        """That one."""
        return {self._topic}

    def partitions_for_topic(self, topic: str) -> Any:
        """Its partitions; None while they are not known."""
        return self._cluster.partitions_for_topic(topic)
