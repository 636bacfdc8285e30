"""Every topic is shared out evenly, whoever comes and goes, and little moves."""

from __future__ import annotations

from typing import Any

from aiokafka.coordinator.assignors.sticky.sticky_assignor import StickyPartitionAssignor
from aiokafka.structs import TopicPartition
from hypothesis import given
from hypothesis import strategies as st

from consumer.kafka.assignor import StickyByTopic

TOPICS = ("face2face.requests", "face2face.requests.retry")
Group = dict[str, list[TopicPartition]]


class _Cluster:
    """What an assignor asks its leader's client; it knows other topics, too."""

    def __init__(self, partitions: dict[str, int]) -> None:
        self._partitions = {**partitions, "face2face.control": 1}

    def topics(self) -> set[str]:
        return set(self._partitions)

    def partitions_for_topic(self, topic: str) -> set[int]:
        return set(range(self._partitions[topic]))


def _rebalance(before: Group, names: list[str], partitions: int, generation: int) -> Group:
    """One rebalance: each member tells what it had, the leader assigns."""
    told = {
        name: StickyByTopic._metadata(
            TOPICS, before.get(name), generation if name in before else -1
        )
        for name in names
    }
    shares = StickyByTopic.assign(_Cluster(dict.fromkeys(TOPICS, partitions)), told)
    return {name: list(share.partitions()) for name, share in shares.items()}


def _counts(group: Group, topic: str) -> list[int]:
    return [sum(each.topic == topic for each in had) for had in group.values()]


def test_a_second_replica_takes_half_of_the_requests_and_not_the_retry_topic_alone() -> None:
    group: Group = {}
    for generation, count in enumerate((1, 2, 3, 4, 6, 12)):
        group = _rebalance(group, [f"r{n}" for n in range(count)], 12, generation)
        for topic in TOPICS:
            assert _counts(group, topic) == [12 // count] * count


@given(
    st.lists(st.sets(st.sampled_from("abcdefgh"), min_size=1), min_size=1, max_size=8),
    st.integers(1, 12),
)
def test_no_replica_has_more_than_one_partition_of_a_topic_beyond_another(
    lives: list[set[str]], partitions: int
) -> None:
    group: Group = {}
    for generation, names in enumerate(lives):
        group = _rebalance(group, sorted(names), partitions, generation)
        assert sorted(p for had in group.values() for p in had) == [
            TopicPartition(topic, n) for topic in TOPICS for n in range(partitions)
        ]
        for topic in TOPICS:
            assert max(_counts(group, topic)) - min(_counts(group, topic)) <= 1


def test_who_stays_keeps_what_it_had_and_gives_up_no_more_than_it_must() -> None:
    before = _rebalance({}, ["a", "b", "c"], 12, 0)
    assert _rebalance(before, ["a", "b", "c"], 12, 1) == before
    more = _rebalance(before, ["a", "b", "c", "d"], 12, 1)
    assert [len(set(before[name]) - set(more[name])) for name in "abc"] == [2, 2, 2]
    assert not any(set(more[name]) - set(before[name]) for name in "abc")
    left = _rebalance(before, ["a", "b"], 12, 1)
    assert all(set(before[name]) <= set(left[name]) for name in "ab")


def test_a_member_whose_words_cannot_be_read_gets_its_share() -> None:
    told = {name: StickyByTopic._metadata(TOPICS, None) for name in ("a", "b")}
    told["b"].user_data = b"\x00\x01nonsense"
    shares = StickyByTopic.assign(_Cluster(dict.fromkeys(TOPICS, 4)), told)
    assert [len(share.partitions()) for share in shares.values()] == [4, 4]


LIFE = st.fixed_dictionaries(
    {
        "leader": st.sampled_from([StickyByTopic, StickyPartitionAssignor]),
        "wants": st.dictionaries(st.sampled_from("abcdef"), st.sets(st.sampled_from("rstu"))),
        "partitions": st.fixed_dictionaries({topic: st.integers(1, 7) for topic in "rstu"}),
    }
)


@given(st.lists(LIFE, min_size=1, max_size=4), LIFE)
def test_members_of_other_topics_and_a_leader_of_an_older_release_leave_nothing_unread(
    lives: list[dict[str, Any]], last: dict[str, Any]
) -> None:
    group: Group = {}
    for generation, life in enumerate([*lives, {**last, "leader": StickyByTopic}]):
        told = {
            name: StickyByTopic._metadata(wants, group.get(name), generation)
            for name, wants in life["wants"].items()
        }
        cluster = _Cluster(life["partitions"])
        shares = life["leader"].assign(cluster, told) if told else {}
        group = {name: list(share.partitions()) for name, share in shares.items()}
    for topic, count in last["partitions"].items():
        readers = {n: group[n] for n, wants in last["wants"].items() if topic in wants}
        assert sum(_counts(group, topic)) == (count if readers else 0)
        if readers:
            read = {p.partition for had in readers.values() for p in had if p.topic == topic}
            assert read == set(range(count))
            assert max(_counts(readers, topic)) - min(_counts(readers, topic)) <= 1
