"""The embedded broker and object store of `face2face demo` and `face2face dev`.

The broker is librdkafka's mock cluster, which the `confluent-kafka` wheel starts by its public
setting `test.mock.num.brokers`; it speaks the Kafka protocol on loopback, makes topics when they
are first named (four partitions each) and keeps everything in memory. It has no admin calls, no
look-up of offsets by time, and no second member in a group. The store is moto's S3 server in a
child process: it checks no signature and forgets everything when it ends.
Both are for trying things out on one machine. Neither is for production.
"""

from __future__ import annotations

import contextlib
import json
import select
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterable
from importlib.util import find_spec
from typing import Any

from consumer.local.startable import Startable

ACCESS_KEY = "face2face"
SECRET_KEY = "face2face-dev"
START_TIMEOUT_S = 120.0


class EmbeddedFailed(RuntimeError):
    """The embedded broker or store did not come up; the text says what to install or look at."""


class NoRoom(EmbeddedFailed):
    """The disk that would be used is as good as full; the text says which and what to do."""


class ExtraMissing(EmbeddedFailed):
    """What the embedded store is made of is not installed."""


class EmbeddedKafka(Startable):
    """A Kafka broker in this process, on a free loopback port, gone with the object."""

    def __init__(self) -> None:
        self._handle: Any = None
        self._address = ""

    def start(self) -> None:
        """Start the broker.

        Raises:
            EmbeddedFailed: the broker does not answer.
        """
        from confluent_kafka import KafkaException
        from confluent_kafka.admin import AdminClient

        # A signal that reaches the broker's thread ends it for good, without a word (its `poll` is
        # interrupted, librdkafka 2.16); a thread takes its mask from whoever makes it.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        try:
            handle = AdminClient(
                {
                    "bootstrap.servers": "127.0.0.1:1",  # replaced by the mock cluster's own
                    "test.mock.num.brokers": 1,
                    "log_level": 0,
                }
            )
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        try:
            brokers = handle.list_topics(timeout=10).brokers
        except KafkaException as error:
            raise EmbeddedFailed(f"the embedded broker does not answer: {error}") from error
        first = next(iter(brokers.values()))
        self._handle = handle
        self._address = f"{first.host}:{first.port}"

    @property
    def servers(self) -> str:
        """Bootstrap address, host:port."""
        return self._address

    def make_topics(self, names: Iterable[str]) -> None:
        """Make topics by naming them: the mock cluster knows no admin call that would."""
        for name in names:
            self._handle.list_topics(name, timeout=10)

    def stop(self) -> None:
        """Close the broker and every connection to it."""
        self._handle = None


class EmbeddedS3(Startable):
    """An S3 server in a child process on a free loopback port, with one bucket made."""

    access_key = ACCESS_KEY
    secret_key = SECRET_KEY

    def __init__(self, bucket: str | None = "face2face") -> None:
        self.bucket = bucket
        self._port = 0
        self._said = tempfile.TemporaryFile("w+")  # noqa: SIM115 - lives as long as the server
        self._process: subprocess.Popen[str] | None = None

    @property
    def endpoint(self) -> str:
        """http://host:port; the same after a restart."""
        return f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        """Start the server and make the bucket.

        Raises:
            ExtraMissing: the `demo` extra is not installed.
            EmbeddedFailed: it did not come up; the text holds what it said.
        """
        if find_spec("moto") is None:
            raise ExtraMissing(
                "the embedded store needs the 'demo' extra: pip install 'face2face[demo]'"
            )
        self._process = subprocess.Popen(
            [sys.executable, "-m", "consumer.local.embedded_s3", str(self._port)],
            stdin=subprocess.PIPE,  # its end tells the child that we are gone
            stdout=subprocess.PIPE,
            stderr=self._said,  # a file, because a full pipe would hold the server up
            text=True,
        )
        self._port = self._read_port(self._process)
        if self.bucket is not None:
            self._make_bucket(self.bucket)

    def _read_port(self, process: subprocess.Popen[str]) -> int:
        assert process.stdout is not None
        end = time.monotonic() + START_TIMEOUT_S
        if select.select([process.stdout], [], [], max(0.0, end - time.monotonic()))[0]:
            line = process.stdout.readline()
            with contextlib.suppress(ValueError, KeyError):
                return int(json.loads(line)["port"])
        process.kill()
        process.communicate()
        self._said.seek(0)
        said = self._said.read().strip()
        raise EmbeddedFailed(f"the embedded S3 server did not start: {said[-2000:] or 'no word'}")

    def _make_bucket(self, name: str) -> None:
        # moto checks no signature, but takes a request without one for anonymous
        request = urllib.request.Request(
            f"{self.endpoint}/{name}",
            method="PUT",
            headers={"Authorization": f"AWS4-HMAC-SHA256 Credential={ACCESS_KEY}/x/us-east-1/s3/x"},
        )
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            opener.open(request, timeout=10).close()
        except OSError as error:
            raise EmbeddedFailed(f"cannot make bucket {name!r}: {error}") from error

    def stop(self) -> None:
        """End the server; its objects are gone."""
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(signal.SIGTERM)
        try:
            process.communicate(timeout=5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
