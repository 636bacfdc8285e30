"""A model of one partition and its group, with real ledgers in replicas that crash and trade it."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from consumer.kafka.ledger import Ledger, Seen
from consumer.kafka.offset_runs import MAX_METADATA_BYTES, OffsetRuns, unpack

OWNERS = ("a", "b")


class Partition:
    """One partition's log, its committed offset, and two replicas of which one reads it."""

    def __init__(self) -> None:
        self.log: list[int] = []
        self.next_offset = 0
        self.done: set[int] = set()
        """Records whose outcome is on record since they were last wanted."""
        self.committed: tuple[int, str] | None = None
        self.owner: str | None = None
        self.cursor = 0
        self.ledgers = {name: Ledger() for name in OWNERS}
        self.jobs: dict[str, set[int]] = {name: set() for name in OWNERS}

    def append(self, gap: int) -> None:
        self.log.append(self.next_offset)
        self.next_offset += 1 + gap

    def assign(self, name: str, *, rejoined: bool = False) -> None:
        offset, metadata = self.committed or (None, "")
        if rejoined:
            self.ledgers[name].rejoined()
        self.ledgers[name].restore(offset, metadata)
        self.owner = name
        self.cursor = offset or 0

    def deliver(self) -> None:
        assert self.owner
        ahead = [o for o in self.log if o >= self.cursor]
        if not ahead:
            self.ledgers[self.owner].passed(self.next_offset)
            return
        offset = ahead[0]
        self.cursor = offset + 1
        seen = self.ledgers[self.owner].admit(offset)
        self.ledgers[self.owner].passed(self.cursor)
        if seen is Seen.NEW:
            assert offset not in self.jobs[self.owner], f"running job {offset} was started again"
            assert not self.covered(offset), f"committed record {offset} was started again"
            self.jobs[self.owner].add(offset)
        elif seen is Seen.RUNNING:
            assert offset in self.jobs[self.owner], f"{offset} counts as running and is not"
        else:
            assert offset in self.done, f"unfinished record {offset} was skipped"

    def covered(self, offset: int) -> bool:
        if self.committed is None:
            return False
        position, metadata = self.committed
        return offset < position or offset in OffsetRuns(unpack(position, metadata))

    def finish(self, name: str, offset: int) -> None:
        self.jobs[name].discard(offset)
        self.done.add(offset)
        self.ledgers[name].finish(offset)

    def give_up(self, name: str, offset: int) -> None:
        self.jobs[name].discard(offset)
        self.ledgers[name].release(offset)

    def commit(self, applied: bool, answered: bool) -> None:
        assert self.owner
        wanted = self.ledgers[self.owner].commit()
        if wanted is None or not applied:
            return
        self.committed = (wanted.offset, wanted.metadata)
        if answered:
            self.ledgers[self.owner].acknowledged(wanted)

    def crash(self, name: str) -> None:
        self.ledgers[name] = Ledger()
        self.jobs[name].clear()
        if self.owner == name:
            self.owner = None

    def set_back(self, offset: int) -> None:
        """What `kafka-consumer-groups --reset-offsets` does; only an empty group allows it."""
        self.committed = (offset, "")
        self.done = {o for o in self.done if o < offset}
        for name in OWNERS:
            self.ledgers[name].rejoined()
            self.done -= {running for running in self.jobs[name] if running >= offset}
        self.owner = None

    def settle(self, name: str) -> None:
        """One replica keeps the partition until nothing is left to do."""
        self.assign(name)
        for _ in range(len(self.log) + 1):
            self.deliver()
        for offset in sorted(self.jobs[name]):
            self.finish(name, offset)
        self.commit(applied=True, answered=True)
        behind = (self.committed or (0, ""))[0]
        assert behind == self.next_offset or not self.log, f"all is done, committed is {behind}"

    def check(self) -> None:
        if self.committed is None:
            return
        position, metadata = self.committed
        assert len(metadata.encode()) <= MAX_METADATA_BYTES
        passed = [o for o in self.log if o < position and o not in self.done]
        assert not passed, f"committed {position} is past the unfinished {passed}"
        packed = OffsetRuns(unpack(position, metadata))
        wrong = [o for o in self.log if o in packed and o not in self.done]
        assert not wrong, f"the metadata calls {wrong} finished"


class LedgerMachine(RuleBasedStateMachine):
    """Hypothesis chooses what happens."""

    def __init__(self) -> None:
        super().__init__()
        self.partition = Partition()
        self.partition.assign("a")

    def _pick(self, data: st.DataObject) -> tuple[str, int] | None:
        running = [(n, o) for n in OWNERS for o in sorted(self.partition.jobs[n])]
        return data.draw(st.sampled_from(running)) if running else None

    @rule(gaps=st.lists(st.integers(0, 3), min_size=1, max_size=8))
    def append(self, gaps: list[int]) -> None:
        for gap in gaps:
            self.partition.append(gap)

    @precondition(lambda self: self.partition.owner is not None)
    @rule(count=st.integers(1, 6))
    def deliver(self, count: int) -> None:
        for _ in range(count):
            self.partition.deliver()

    @rule(data=st.data())
    def finish(self, data: st.DataObject) -> None:
        picked = self._pick(data)
        if picked:
            self.partition.finish(*picked)

    @rule(data=st.data())
    def give_up(self, data: st.DataObject) -> None:
        picked = self._pick(data)
        if picked:
            self.partition.give_up(*picked)

    @precondition(lambda self: self.partition.owner is not None)
    @rule(applied=st.booleans(), answered=st.booleans())
    def commit(self, applied: bool, answered: bool) -> None:
        self.partition.commit(applied, answered)

    @rule(name=st.sampled_from(OWNERS), rejoined=st.booleans())
    def rebalance(self, name: str, rejoined: bool) -> None:
        self.partition.assign(name, rejoined=rejoined)

    @rule(name=st.sampled_from(OWNERS))
    def crash(self, name: str) -> None:
        self.partition.crash(name)

    @precondition(lambda self: self.partition.committed is not None)
    @rule(data=st.data())
    def set_back(self, data: st.DataObject) -> None:
        assert self.partition.committed is not None
        self.partition.set_back(data.draw(st.integers(0, self.partition.committed[0])))

    @rule(name=st.sampled_from(OWNERS))
    def settle(self, name: str) -> None:
        self.partition.settle(name)

    @invariant()
    def commits_hold(self) -> None:
        self.partition.check()


def random_step(partition: Partition, dice: random.Random) -> None:
    """Dice choose what happens."""

    def job(act: Callable[[str, int], None]) -> None:
        running = [(n, o) for n in OWNERS for o in partition.jobs[n]]
        if running:
            act(*dice.choice(running))

    owned = partition.owner is not None
    steps: list[tuple[float, Callable[[], Any]]] = [
        (20, lambda: partition.append(dice.choice((0, 0, 0, 0, 1, 3)))),
        (30 * owned, lambda: partition.deliver() if owned else None),
        (24, lambda: job(partition.finish)),
        (2, lambda: job(partition.give_up)),
        (12 * owned, lambda: partition.commit(dice.random() < 0.9, dice.random() < 0.9)),
        (4, lambda: partition.assign(dice.choice(OWNERS), rejoined=dice.random() < 0.2)),
        (1, lambda: partition.crash(dice.choice(OWNERS))),
        (0.5, lambda: partition.settle(dice.choice(OWNERS))),
        (0.1, lambda: partition.set_back(max(0, (partition.committed or (0, ""))[0] - 20))),
    ]
    weights = [weight for weight, _ in steps]
    dice.choices([act for _, act in steps], weights)[0]()
