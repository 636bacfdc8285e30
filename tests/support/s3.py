"""S3 servers of tests: MinIO and VersityGW from packages, MinIO from Docker, or a given one."""

from __future__ import annotations

import contextlib
import os
import shutil
import ssl
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.support.capabilities import Can
from tests.support.packages import MINIO, VERSITYGW
from tests.support.processes import ServerFailed, ServerProcess, free_port, wait_until

ACCESS_KEY = "face2face-tests"
SECRET_KEY = "face2face-tests-secret"
MINIO_IMAGE = "minio/minio:RELEASE.2025-09-07T16-13-09Z"


def http_answers(url: str, *, any_status: bool = False) -> bool:
    """True when a GET of the URL answers 2xx (or at all)."""
    try:
        with urllib.request.urlopen(url, timeout=2):
            return True
    except urllib.error.HTTPError:
        return any_status
    except OSError:
        return False


def serves(endpoint: str, context: ssl.SSLContext | None = None) -> bool:
    """True when an S3 server answers calls, if only to refuse this one, which bears no signature.

    MinIO says that it is ready before it is: it then answers calls with 503, and asks for a pause
    of a minute before the next.
    """
    try:
        with urllib.request.urlopen(endpoint, timeout=2, context=context):
            return True
    except urllib.error.HTTPError as error:
        return error.code < 500
    except OSError:
        return False


class S3Process:
    """An S3 server as a process of ours: what MinIO and VersityGW have in common."""

    name: str
    capabilities: frozenset[Can]
    access_key = ACCESS_KEY
    secret_key = SECRET_KEY

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.process = ServerProcess(
            self.name, self._command(), folder / "s3.log", self._ready, self._environment()
        )

    @property
    def endpoint(self) -> str:
        """http://host:port"""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start and wait until it serves S3."""
        self.process.start()

    def stop(self) -> None:
        """Stop it; the data stays for another start."""
        self.process.stop(5.0)

    def kill(self) -> None:
        """SIGKILL; the data stays for another start."""
        self.process.kill()

    def _command(self) -> list[str]:
        raise NotImplementedError

    def _environment(self) -> dict[str, str]:
        raise NotImplementedError

    def _ready(self) -> bool:
        return serves(self.endpoint)


class MinioServer(S3Process):
    """MinIO, the last source of the archived project."""

    name = "MinIO 2026-02-12 (package)"
    capabilities = frozenset(
        {Can.SIGNATURES, Can.LIFECYCLE, Can.RULES, Can.CONDITIONAL_PUT, Can.ACCOUNTS, Can.PROCESS}
    )

    def _command(self) -> list[str]:
        data = self.folder / "data"
        data.mkdir(exist_ok=True)
        binary = str(MINIO.home / "minio")
        return [binary, "server", "--quiet", "--address", f"127.0.0.1:{self.port}", str(data)]

    def _environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "MINIO_ROOT_USER": ACCESS_KEY,
            "MINIO_ROOT_PASSWORD": SECRET_KEY,
            "MINIO_BROWSER": "off",
            "MINIO_UPDATE": "off",
            "MINIO_CI_CD": "on",  # allows the data to lie on the root disk
        }


class VersityServer(S3Process):
    """VersityGW over a POSIX folder: the second S3, which has no lifecycle."""

    name = "VersityGW 1.8.0 (package)"
    capabilities = frozenset({Can.SIGNATURES, Can.CONDITIONAL_PUT, Can.PROCESS})

    def _command(self) -> list[str]:
        for part in ("meta", "root"):
            (self.folder / part).mkdir(exist_ok=True)
        return [
            *(str(VERSITYGW.home / "versitygw"), "--port", f"127.0.0.1:{self.port}", "posix"),
            *("--sidecar", str(self.folder / "meta"), str(self.folder / "root")),
        ]

    def _environment(self) -> dict[str, str]:
        return {**os.environ, "ROOT_ACCESS_KEY": ACCESS_KEY, "ROOT_SECRET_KEY": SECRET_KEY}


class VersionedVersityServer(VersityServer):
    """VersityGW whose buckets may keep versions."""

    def _command(self) -> list[str]:
        (self.folder / "versions").mkdir(exist_ok=True)
        *before, _, _, root = super()._command()  # its sidecar hides what is put over a removed one
        return [*before, "--versioning-dir", str(self.folder / "versions"), root]


class GivenS3:
    """A server that somebody else runs: `F2F_TEST_S3=http://ACCESS:SECRET@host:port`."""

    capabilities = frozenset({Can.SIGNATURES, Can.LIFECYCLE, Can.RULES, Can.CONDITIONAL_PUT})

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        if not parts.hostname or parts.username is None or parts.password is None:
            raise ServerFailed("F2F_TEST_S3 must read http://ACCESS:SECRET@host:port")
        self.access_key, self.secret_key = parts.username, parts.password
        self.endpoint = f"{parts.scheme}://{parts.hostname}:{parts.port or 80}"
        self.name = f"S3 at {self.endpoint} (F2F_TEST_S3)"

    def start(self) -> None:
        """Check that it answers."""
        if not serves(self.endpoint):
            raise ServerFailed(f"no S3 server answers at {self.endpoint} (F2F_TEST_S3)")

    def stop(self) -> None:
        """Nothing: it is not ours."""


class DockerS3:
    """MinIO from its last image, through testcontainers."""

    capabilities = frozenset(
        {Can.SIGNATURES, Can.LIFECYCLE, Can.RULES, Can.CONDITIONAL_PUT, Can.ACCOUNTS}
    )
    name = f"{MINIO_IMAGE} (Docker)"
    access_key = ACCESS_KEY
    secret_key = SECRET_KEY

    def __init__(self) -> None:
        self._port = free_port()
        self._container: Any = None

    @property
    def endpoint(self) -> str:
        """http://host:port"""
        return f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        """Run the container and wait until it is ready."""
        from testcontainers.core.container import DockerContainer

        container = DockerContainer(MINIO_IMAGE).with_bind_ports(9000, self._port)
        container = container.with_env("MINIO_ROOT_USER", ACCESS_KEY)
        container = container.with_env("MINIO_ROOT_PASSWORD", SECRET_KEY)
        self._container = container.with_command("server /data").start()
        wait_until(lambda: serves(self.endpoint), 120, f"{self.name} ready")

    def stop(self) -> None:
        """Remove the container."""
        if self._container is not None:
            self._container.stop()


@contextlib.contextmanager
def own_s3(kind: type[S3Process], folder: Path) -> Iterator[S3Process]:
    """An S3 server for one test alone, which may be killed and restarted."""
    server = kind(folder)
    server.start()
    try:
        yield server
    finally:
        server.kill()
        shutil.rmtree(folder, ignore_errors=True)
