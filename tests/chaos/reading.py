"""Reads a history with plain clients: librdkafka for topics and commits, minio for the bucket."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import struct
import time
import zlib
from collections import Counter
from pathlib import Path
from typing import Any

from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition
from minio import Minio, S3Error
from pydantic import ValidationError

from schemas.manifest import AttemptMarker
from tests.chaos.facts import GroupCommit, History, Obj, Place, Rec
from tests.support.handles import KafkaHandle, S3Handle

OFFSETS_TOPIC = "__consumer_offsets"
READ_TIMEOUT_S = 120.0


def read_history(kafka: KafkaHandle, s3: S3Handle, starts: Path | None = None) -> History:
    """All that is there now."""
    topics = kafka.topics
    return History(
        requests=read_topic(kafka.servers, topics.requests),
        retries=read_topic(kafka.servers, topics.retry),
        completed=read_topic(kafka.servers, topics.completed),
        failed=read_topic(kafka.servers, topics.failed),
        dead=read_topic(kafka.servers, topics.dlq),
        objects=read_objects(s3),
        uploads=read_uploads(s3),
        commits=read_commits(kafka.servers, kafka.group),
        starts=read_starts(starts),
        now_ms=round(time.time() * 1000),
    )


def read_starts(path: Path | None) -> dict[str, int]:
    """Renders by job id, from the null renderer's log."""
    if path is None or not path.exists():
        return {}
    return dict(Counter(line.split(" ", 1)[1] for line in path.read_text().splitlines()))


def read_topic(servers: str, topic: str) -> list[Rec]:
    """Every record up to the end as it is now, partition by partition."""
    client = plain_consumer(servers)
    try:
        return [to_rec(message) for message in _messages(client, topic)]
    finally:
        client.close()


def plain_consumer(servers: str) -> Consumer:
    """A client that reads what it is assigned, and never commits."""
    return Consumer(
        {
            "bootstrap.servers": servers,
            "group.id": "history-checker-that-never-commits",
            "enable.auto.commit": False,
            "enable.partition.eof": False,
            "fetch.message.max.bytes": 32 * 1024 * 1024,
            "log_level": 0,
        }
    )


def _messages(client: Consumer, topic: str) -> list[Any]:
    found = client.list_topics(topic, timeout=120).topics[topic]
    ends: dict[int, int] = {}
    for number in found.partitions:
        low, high = client.get_watermark_offsets(TopicPartition(topic, number), timeout=120)
        if high > low:
            ends[number] = high
    if not ends:
        return []
    client.assign([TopicPartition(topic, number, OFFSET_BEGINNING) for number in ends])
    messages: list[Any] = []
    deadline = time.monotonic() + READ_TIMEOUT_S
    while any(_position(client, topic, number) < end for number, end in ends.items()):
        messages += [m for m in client.consume(500, timeout=0.2) if m.error() is None]
        if time.monotonic() > deadline:
            raise TimeoutError(f"topic {topic} was not read within {READ_TIMEOUT_S:g} s")
    return [m for m in messages if m.offset() < ends[m.partition()]]


def _position(client: Consumer, topic: str, number: int) -> int:
    return int(client.position([TopicPartition(topic, number)])[0].offset)


def to_rec(message: Any) -> Rec:
    """A message of librdkafka as a fact."""
    headers = {n: (v or b"").decode("utf-8", "replace") for n, v in message.headers() or []}
    place = Place(message.topic(), message.partition(), message.offset())
    return Rec(place, message.timestamp()[1], message.key(), message.value(), headers)


# The group's commits, from the broker's own topic


def read_commits(servers: str, group: str) -> list[GroupCommit]:
    """Every commit that the broker took of a group (OffsetCommitKey v1, OffsetCommitValue v1–v4).

    Source: Kafka, group-coordinator/src/main/resources/common/message/OffsetCommit*.json.
    """
    client = plain_consumer(servers)
    try:
        raw = _messages(client, OFFSETS_TOPIC)
    finally:
        client.close()
    commits = [_commit(m.key(), m.value(), group) for m in raw if m.key() and m.value()]
    return [commit for commit in commits if commit is not None]


def _commit(key: bytes, value: bytes, group: str) -> GroupCommit | None:
    (kind,) = struct.unpack_from(">h", key)
    if kind not in (0, 1):
        return None  # not an offset: the group's own state
    name, at = _text(key, 2)
    topic, at = _text(key, at)
    (partition,) = struct.unpack_from(">i", key, at)
    if name != group:
        return None
    version, offset = struct.unpack_from(">hq", value)
    if version not in (1, 2, 3, 4):
        raise ValueError(f"OffsetCommitValue version {version} is not known here")
    epoch = 4 if version >= 3 else 0
    metadata, at = (_compact_text if version >= 4 else _text)(value, 10 + epoch)
    (at_ms,) = struct.unpack_from(">q", value, at)
    return GroupCommit(topic, partition, offset, finished_runs(offset, metadata), at_ms)


def _text(data: bytes, at: int) -> tuple[str, int]:
    (size,) = struct.unpack_from(">h", data, at)
    return data[at + 2 : at + 2 + size].decode(), at + 2 + size


def _compact_text(data: bytes, at: int) -> tuple[str, int]:
    """A string behind its length plus one as an unsigned varint (flexible versions, KIP-482)."""
    size = shift = 0
    while True:
        byte = data[at]
        at += 1
        size |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return data[at : at + size - 1].decode(), at + size - 1


def finished_runs(offset: int, metadata: str) -> tuple[tuple[int, int], ...]:
    """The runs in a commit's metadata, read by the format's description alone.

    `f2f1r:` or `f2f1z:` (zlib), then base64 of unsigned LEB128 pairs (gap, length).
    """
    kind, _, packed = metadata.partition(":")
    if kind not in ("f2f1r", "f2f1z"):
        return ()
    data = base64.b64decode(packed)
    numbers: list[int] = [0]
    shift = 0
    for byte in zlib.decompress(data) if kind == "f2f1z" else data:
        numbers[-1] |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            numbers.append(0)
            shift = 0
    runs, at = [], offset
    for gap, length in zip(numbers[:-1:2], numbers[1:-1:2], strict=True):
        runs.append((at + gap, at + gap + length))
        at += gap + length
    return tuple(runs)


# The bucket


def read_objects(s3: S3Handle) -> dict[str, Obj]:
    """Every object but the inputs, with the digest of its bytes as they are read now."""
    client = s3.client()
    found: dict[str, Obj] = {}
    for entry in client.list_objects(s3.bucket, recursive=True):
        if entry.object_name.startswith("inputs/"):
            continue
        data = _read_object(client, s3.bucket, entry.object_name)
        if data is None:
            continue
        kept = None if entry.object_name.endswith(".mp4") else data
        found[entry.object_name] = Obj(len(data), hashlib.sha256(data).hexdigest(), kept)
    return found


def _read_object(client: Minio, bucket: str, key: str) -> bytes | None:
    """Its bytes; None when it has gone since it was listed."""
    try:
        answer = client.get_object(bucket, key)
    except S3Error as error:
        if error.code == "NoSuchKey":
            return None
        raise
    try:
        return bytes(answer.read())
    finally:
        answer.close()
        answer.release_conn()


def fresh_leases(s3: S3Handle) -> list[str]:
    """Keys of attempt markers with a lease that was renewed within its time to live."""
    client, found = s3.client(), []
    for entry in client.list_objects(s3.bucket, "attempts/", recursive=True):
        data = _read_object(client, s3.bucket, entry.object_name) or b""
        with contextlib.suppress(ValidationError):  # a head of what was rendered, or a probe
            lease = AttemptMarker.model_validate_json(data).lease
            if lease and time.time() - lease.renewed_at.timestamp() < lease.ttl_s:
                found.append(str(entry.object_name))
    return found


def read_uploads(s3: S3Handle) -> list[str]:
    """Keys of multipart uploads that somebody began and nobody ended."""
    found = s3.client()._list_multipart_uploads(s3.bucket)  # the SDK has no public call
    return [str(upload.object_name) for upload in found.uploads]
