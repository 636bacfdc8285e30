"""Watches a run from outside while it goes on: events as they come, objects as they are seen."""

from __future__ import annotations

import threading
import time
from collections import Counter, defaultdict

import urllib3
from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition
from minio.error import MinioException

from schemas.topics import Topics
from tests.chaos.facts import Rec
from tests.chaos.reading import to_rec
from tests.support.handles import S3Handle

PAUSE_S = 0.2


class Ear:
    """Hears outcomes, retries and dead letters in a thread."""

    def __init__(self, servers: str, topics: Topics) -> None:
        self._servers = servers
        self._topics = (topics.completed, topics.failed, topics.retry, topics.dlq)
        self.completed: Counter[str] = Counter()
        """Copies by job id."""
        self.failed: Counter[str] = Counter()
        self.records: dict[str, list[Rec]] = defaultdict(list)
        """By topic."""
        self.heard_at: dict[str, float] = {}
        """Monotonic time of a job's first outcome."""
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="ear", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(120)

    @property
    def done(self) -> set[str]:
        """Jobs with an outcome."""
        return set(self.heard_at)

    def _run(self) -> None:
        client = Consumer(
            {
                "bootstrap.servers": self._servers,
                "group.id": "ear-that-never-commits",
                "enable.auto.commit": False,
                "log_level": 0,
            }
        )
        found = client.list_topics(timeout=120).topics
        while not set(self._topics) <= set(found):  # made, but not yet known to this broker
            time.sleep(PAUSE_S)
            found = client.list_topics(timeout=120).topics
        client.assign(
            [
                TopicPartition(topic, number, OFFSET_BEGINNING)
                for topic in self._topics
                for number in found[topic].partitions
            ]
        )
        while not self._stop.is_set():
            for message in client.consume(200, timeout=PAUSE_S):
                if message.error() is None:
                    self._hear(to_rec(message))
        client.close()

    def _hear(self, record: Rec) -> None:
        topic = record.place.topic
        self.records[topic].append(record)
        if topic in self._topics[:2]:
            job_id = (record.key or b"").decode()
            counter = self.completed if topic == self._topics[0] else self.failed
            counter[job_id] += 1
            self.heard_at.setdefault(job_id, time.monotonic())


class Witness:
    """Lists the results again and again: every state in which an object was ever visible."""

    def __init__(self, s3: S3Handle) -> None:
        self._s3 = s3
        self.seen: dict[str, set[tuple[int, str]]] = defaultdict(set)
        self.looks = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="witness", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(120)

    def _run(self) -> None:
        client = self._s3.client()
        pause = PAUSE_S
        while not self._stop.wait(pause):
            begun = time.monotonic()
            try:
                for entry in client.list_objects(self._s3.bucket, "results/", recursive=True):
                    self.seen[entry.object_name].add((entry.size, entry.etag))
                self.looks += 1
            except (MinioException, urllib3.exceptions.HTTPError, OSError):
                pass  # the store is away, as the scenario wants it
            pause = max(PAUSE_S, 10 * (time.monotonic() - begun))  # to look must cost little
