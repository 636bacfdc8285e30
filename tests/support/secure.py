"""A Kafka that takes only SASL/SCRAM over TLS, and a MinIO that takes only TLS."""

from __future__ import annotations

import urllib.request
from pathlib import Path
from ssl import create_default_context

from tests.support.certificates import Certificates
from tests.support.kafka import ApacheKafka
from tests.support.s3 import MinioServer

USER, PASSWORD = "face2face-user", "scram-password-of-the-test"
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
            f'username="{USER}" password="{PASSWORD}";\n'
        )
        self._file.write_text(text, encoding="utf-8")

    def format(self) -> None:
        """Prepare the data folder with the user in it."""
        self._format("--add-scram", f"SCRAM-SHA-512=[name={USER},password={PASSWORD}]")

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
            "sasl.username": USER,
            "sasl.password": password,
            "ssl.ca.location": str(self._certificates.ca),
        }


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
        context = create_default_context(cafile=str(self._certificates.ca))
        try:
            with urllib.request.urlopen(
                f"{self.endpoint}/minio/health/ready", timeout=2, context=context
            ):
                return True
        except OSError:
            return False
