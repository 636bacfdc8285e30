"""Kafka servers of tests: Apache Kafka from packages, from Docker, or at a given address."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.support.capabilities import Can
from tests.support.packages import KAFKA, KAFKA_VERSION
from tests.support.processes import ServerFailed, ServerProcess, free_port

CLUSTER_ID = "ZmFjZTJmYWNlLXRlc3RzMA"
ALL_KAFKA = frozenset({Can.GROUPS, Can.TIMES, Can.ADMIN})

_PROPERTIES = """\
process.roles=broker,controller
node.id={node}
controller.quorum.voters={voters}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{control}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs={data}
auto.create.topics.enable=false
delete.topic.enable=true
num.partitions=1
default.replication.factor={replicas}
min.insync.replicas={isr}
offsets.topic.num.partitions=1
offsets.topic.replication.factor={replicas}
transaction.state.log.num.partitions=1
transaction.state.log.replication.factor={replicas}
transaction.state.log.min.isr={isr}
share.coordinator.state.topic.num.partitions=1
share.coordinator.state.topic.replication.factor={replicas}
share.coordinator.state.topic.min.isr={isr}
broker.session.timeout.ms=1500
broker.heartbeat.interval.ms=300
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=500
log.cleaner.dedupe.buffer.size=2097152
num.network.threads=2
num.io.threads=2
background.threads=2
"""

_LOG4J = """\
<Configuration status="ERROR"><Appenders><Console name="out"><PatternLayout
pattern="%d{ISO8601} %p %c{1} %m%n"/></Console></Appenders><Loggers><Root level="WARN">
<AppenderRef ref="out"/></Root></Loggers></Configuration>
"""


class ApacheKafka:
    """One broker (and controller) of Apache Kafka as a process; a member of a cluster when told so.

    Args:
        home: folder with `lib/*.jar`.
        folder: empty folder for data, properties and log.
    """

    name = f"Apache Kafka {KAFKA_VERSION} (package)"
    capabilities = ALL_KAFKA | {Can.PROCESS}

    def __init__(self, home: Path, folder: Path, *, heap_mb: int = 384) -> None:
        self.port = free_port()
        self.control_port = free_port()
        self._folder = folder
        self._java = ["java", "-cp", f"{folder}:{home}/lib/*"]
        self._file = folder / "server.properties"
        command = [
            *("java", "-Xms128m", f"-Xmx{heap_mb}m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"),
            *("-Djava.awt.headless=true", *self._java[1:], "kafka.Kafka", str(self._file)),
        ]
        self.process = ServerProcess(self.name, command, folder / "kafka.log", self._answers)
        self.configure(1, f"1@127.0.0.1:{self.control_port}", 1)

    @property
    def servers(self) -> str:
        """Bootstrap address, host:port."""
        return f"127.0.0.1:{self.port}"

    def configure(self, node: int, voters: str, replicas: int) -> None:
        """Write the properties of this node; before `format` only."""
        self._folder.mkdir(parents=True, exist_ok=True)
        (self._folder / "log4j2.xml").write_text(_LOG4J, encoding="utf-8")
        text = _PROPERTIES.format(
            node=node,
            voters=voters,
            port=self.port,
            control=self.control_port,
            data=self._folder / "data",
            replicas=replicas,
            isr=max(1, replicas - 1),
        )
        self._file.write_text(text, encoding="utf-8")

    def format(self) -> None:
        """Prepare the data folder (`kafka-storage format`)."""
        self._format("--ignore-formatted")

    def _format(self, *options: str) -> None:
        tool = [*self._java, "-XX:TieredStopAtLevel=1", "kafka.tools.StorageTool", "format"]
        done = subprocess.run(
            [*tool, "-t", CLUSTER_ID, "-c", str(self._file), *options],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        if done.returncode != 0:
            raise ServerFailed(f"kafka storage format: {done.stdout}{done.stderr}")

    def start(self) -> None:
        """Format when new, start, and wait until it answers metadata requests as a leader."""
        if not (self._folder / "data").exists():
            self.format()
        self.process.start()

    def stop(self) -> None:
        """Controlled shut-down."""
        self.process.stop()

    def kill(self) -> None:
        """SIGKILL: no controlled shut-down, no flush."""
        self.process.kill()

    def _answers(self) -> bool:
        return broker_answers("127.0.0.1", self.port)


def broker_answers(host: str, port: int, timeout_s: float = 1.0) -> bool:
    """True when a Kafka broker lists itself in the metadata: the port alone says too little."""
    with contextlib.suppress(OSError), socket.create_connection((host, port), timeout_s):
        from confluent_kafka import KafkaException
        from confluent_kafka.admin import AdminClient

        client = AdminClient(
            {"bootstrap.servers": f"{host}:{port}", "log_level": 0, "socket.timeout.ms": 2000}
        )
        with contextlib.suppress(KafkaException):
            found = client.list_topics(timeout=timeout_s * 2)
            return found.controller_id >= 0 and any(b.port == port for b in found.brokers.values())
    return False


class KafkaCluster:
    """Three brokers of Apache Kafka with three replicas of everything, for rolling restarts."""

    name = f"Apache Kafka {KAFKA_VERSION}, 3 brokers (package)"
    capabilities = ApacheKafka.capabilities

    def __init__(self, home: Path, folder: Path, nodes: int = 3) -> None:
        self.nodes = [ApacheKafka(home, folder / f"node-{n}") for n in range(1, nodes + 1)]
        voters = ",".join(f"{n}@127.0.0.1:{k.control_port}" for n, k in enumerate(self.nodes, 1))
        for n, node in enumerate(self.nodes, 1):
            node.configure(n, voters, nodes)

    @property
    def servers(self) -> str:
        """Bootstrap addresses, comma-separated."""
        return ",".join(node.servers for node in self.nodes)

    def start(self) -> None:
        """Start all nodes; a quorum needs more than one of them before any is ready."""
        for node in self.nodes:
            node.format()
            node.process.spawn()
        for node in self.nodes:
            node.process.wait_ready()

    def stop(self) -> None:
        """Stop all nodes."""
        for node in self.nodes:
            node.process.stop(5.0)


class GivenKafka:
    """Brokers that somebody else runs (`F2F_TEST_KAFKA`)."""

    capabilities = ALL_KAFKA

    def __init__(self, servers: str) -> None:
        self.servers = servers
        self.name = f"Kafka at {servers} (F2F_TEST_KAFKA)"

    def start(self) -> None:
        """Check that the first broker answers."""
        host, _, port = self.servers.split(",")[0].rpartition(":")
        with contextlib.suppress(OSError), socket.create_connection((host, int(port)), 5):
            return
        raise ServerFailed(f"no Kafka broker answers at {self.servers} (F2F_TEST_KAFKA)")

    def stop(self) -> None:
        """Nothing: it is not ours."""


class DockerKafka:
    """Apache Kafka from its own image, through testcontainers."""

    capabilities = ALL_KAFKA
    image = f"apache/kafka:{KAFKA_VERSION}"
    name = f"{image} (Docker)"

    def __init__(self) -> None:
        self._port = free_port()
        self._container: Any = None

    @property
    def servers(self) -> str:
        """Bootstrap address."""
        return f"127.0.0.1:{self._port}"

    def start(self) -> None:
        """Run the container and wait until the broker answers."""
        from testcontainers.core.container import DockerContainer

        from tests.support.processes import wait_until

        container = DockerContainer(self.image).with_bind_ports(9092, self._port)
        for name, value in self._environment().items():
            container = container.with_env(name, value)
        self._container = container.start()
        wait_until(lambda: broker_answers("127.0.0.1", self._port), 120, f"{self.name} ready")

    def _environment(self) -> dict[str, str]:
        return {
            "KAFKA_NODE_ID": "1",
            "KAFKA_PROCESS_ROLES": "broker,controller",
            "KAFKA_LISTENERS": "PLAINTEXT://:9092,CONTROLLER://:9093",
            "KAFKA_ADVERTISED_LISTENERS": f"PLAINTEXT://127.0.0.1:{self._port}",
            "KAFKA_CONTROLLER_LISTENER_NAMES": "CONTROLLER",
            "KAFKA_LISTENER_SECURITY_PROTOCOL_MAP": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
            "KAFKA_CONTROLLER_QUORUM_VOTERS": "1@localhost:9093",
            "KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR": "1",
            "KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR": "1",
            "KAFKA_TRANSACTION_STATE_LOG_MIN_ISR": "1",
            "KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS": "0",
            "KAFKA_GROUP_MIN_SESSION_TIMEOUT_MS": "500",
            "KAFKA_AUTO_CREATE_TOPICS_ENABLE": "false",
        }

    def stop(self) -> None:
        """Remove the container."""
        if self._container is not None:
            self._container.stop()


@contextlib.contextmanager
def own_kafka(folder: Path) -> Iterator[ApacheKafka]:
    """A broker for one test alone, which may be killed and restarted; needs the built package."""
    server = ApacheKafka(KAFKA.home, folder)
    server.start()
    try:
        yield server
    finally:
        server.kill()
        shutil.rmtree(folder / "data", ignore_errors=True)
