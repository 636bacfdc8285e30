"""A Kafka that takes only SASL/SCRAM over TLS and has ACLs, and a MinIO that takes only TLS."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from ssl import create_default_context
from typing import Any

from consumer.kafka.bulk import reaching
from consumer.settings import Settings
from schemas.topics import Topics
from tests.support.certificates import Certificates
from tests.support.kafka import ApacheKafka
from tests.support.s3 import MinioServer, serves

ADMIN, SERVICE, CALLER = "face2face-admin", "face2face-service", "face2face-caller"
USERS = {ADMIN: "topics apply", SERVICE: "run", CALLER: "submit"}
"""By the command that each is for: the others may only what the operator's book tells to allow."""
PASSWORD = "scram-password-of-the-test"
BOOK = Path(__file__).parents[2] / "deploy" / "runbook.md"
_LOGIN = "org.apache.kafka.common.security.scram.ScramLoginModule required"


class SecureKafka(ApacheKafka):
    """One broker whose client listener is SASL_SSL with SCRAM-SHA-512."""

    name = "Apache Kafka with SASL_SSL (package)"

    def __init__(self, home: Path, folder: Path, certificates: Certificates) -> None:
        self._certificates = certificates
        super().__init__(home, folder)

    def configure(self, node: int, voters: str, replicas: int) -> None:
        """As every broker, with the client listener secured. Brokers talk over it, too."""
        super().configure(node, voters, replicas)
        text = self._file.read_text("utf-8").replace("PLAINTEXT://", "CLIENTS://")
        text = text.replace("PLAINTEXT:PLAINTEXT", "CLIENTS:SASL_SSL")
        chain = self._certificates.certificate.read_text("ascii").replace("\n", "\\n")
        key = self._certificates.key.read_text("ascii").replace("\n", "\\n")
        authority = self._certificates.ca.read_text("ascii").replace("\n", "\\n")
        text += (
            "inter.broker.listener.name=CLIENTS\n"
            "sasl.enabled.mechanisms=SCRAM-SHA-512\n"
            "sasl.mechanism.inter.broker.protocol=SCRAM-SHA-512\n"
            "ssl.keystore.type=PEM\nssl.truststore.type=PEM\n"
            f"ssl.keystore.certificate.chain={chain}\n"
            f"ssl.keystore.key={key}\n"
            f"ssl.truststore.certificates={authority}\n"
            f"listener.name.clients.scram-sha-512.sasl.jaas.config={_LOGIN} "
            f'username="{ADMIN}" password="{PASSWORD}";\n'
            "authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer\n"
            f"super.users=User:{ADMIN};User:ANONYMOUS\n"  # the latter is the controller itself
        )
        self._file.write_text(text, encoding="utf-8")

    def format(self) -> None:
        """Prepare the data folder with the users in it."""
        users = [f"SCRAM-SHA-512=[name={name},password={PASSWORD}]" for name in USERS]
        self._format(*(word for user in users for word in ("--add-scram", user)))

    def allow(self, topics: Topics, group: str) -> None:
        """Allow the users what the book's table says that their commands need."""
        from confluent_kafka import admin as admin_module

        kafka: Any = admin_module

        bindings = [
            kafka.AclBinding(
                kafka.ResourceType[kind.upper()],
                group if kind == "group" else f"{topics.prefix}.{name}",
                kafka.ResourcePatternType.LITERAL,
                f"User:{user}",
                "*",
                kafka.AclOperation[operation.upper()],
                kafka.AclPermissionType.ALLOW,
            )
            for user, command in USERS.items()
            for kind, names, operations in needs(command)
            for name in names
            for operation in operations
        ]
        admin = kafka.AdminClient({**self.client_config()})
        for done in admin.create_acls(bindings).values():
            done.result(120)

    def _answers(self) -> bool:
        from confluent_kafka import KafkaException
        from confluent_kafka.admin import AdminClient

        client = AdminClient({**self.client_config(), "log_level": 0})
        try:
            return client.list_topics(timeout=2).controller_id >= 0
        except KafkaException:
            return False

    def client_config(self, password: str = PASSWORD) -> dict[str, str]:
        """Configuration of a confluent client: the test's own view, beside the service's."""
        return {
            "bootstrap.servers": self.servers,
            "security.protocol": "SASL_SSL",
            "sasl.mechanism": "SCRAM-SHA-512",
            "sasl.username": ADMIN,
            "sasl.password": password,
            "ssl.ca.location": str(self._certificates.ca),
        }


def needs(command: str) -> list[tuple[str, list[str], list[str]]]:
    """Rows of the book's table of ACLs for a command: topic or group, names, operations."""
    rows = [line.split("|")[1:-1] for line in BOOK.read_text("utf-8").splitlines() if "|" in line]
    return [
        (kind.strip(), re.findall(r"`([^`]+)`", names), re.findall(r"[A-Z][A-Za-z]+", operations))
        for who, kind, names, operations in (row for row in rows if len(row) == 4)
        if f"`{command}`" in who
    ]


@contextmanager
def another_password(admin: Settings) -> Iterator[None]:
    """The service's user has another password meanwhile."""
    from confluent_kafka import admin as admin_module

    kafka: Any = admin_module
    client = kafka.AdminClient(reaching(admin))
    mechanism = kafka.ScramCredentialInfo(kafka.ScramMechanism.SCRAM_SHA_512, 4096)

    def give(password: str) -> None:
        change = kafka.UserScramCredentialUpsertion(SERVICE, mechanism, password.encode())
        (done,) = client.alter_user_scram_credentials([change]).values()
        done.result(120)

    give("another-password")
    try:
        yield
    finally:
        give(PASSWORD)


@contextmanager
def group_forbidden(admin: Settings) -> Iterator[None]:
    """Nobody but the administrator may be in the group meanwhile."""
    from confluent_kafka import admin as admin_module

    kafka: Any = admin_module
    client = kafka.AdminClient(reaching(admin))
    read = (
        *(kafka.ResourceType.GROUP, admin.kafka_group, kafka.ResourcePatternType.LITERAL),
        *(f"User:{SERVICE}", "*", kafka.AclOperation.READ, kafka.AclPermissionType.ALLOW),
    )
    (gone,) = client.delete_acls([kafka.AclBindingFilter(*read)]).values()
    assert len(gone.result(120)) == 1
    try:
        yield
    finally:
        (back,) = client.create_acls([kafka.AclBinding(*read)]).values()
        back.result(120)


class SecureMinio(MinioServer):
    """MinIO with a certificate; it then answers https only."""

    name = "MinIO with TLS (package)"

    def __init__(self, folder: Path, certificates: Certificates) -> None:
        self._certificates = certificates
        certs = folder / "certs"
        certs.mkdir(parents=True)
        (certs / "public.crt").write_bytes(certificates.certificate.read_bytes())
        (certs / "private.key").write_bytes(certificates.key.read_bytes())
        super().__init__(folder)

    @property
    def endpoint(self) -> str:
        """https://host:port"""
        return f"https://127.0.0.1:{self.port}"

    def _command(self) -> list[str]:
        return [*super()._command(), "--certs-dir", str(self.folder / "certs")]

    def _ready(self) -> bool:
        return serves(self.endpoint, create_default_context(cafile=str(self._certificates.ca)))
