"""Fixtures that every test may use: a broker, a store, and servers that may be killed.

kafka       broker of this run, a topic prefix of the test's own
s3          store of this run, an empty bucket of the test's own
every_s3    the same, once for each store that this machine has
own_kafka   an Apache Kafka of this test alone: kill it, start it again
cluster     three brokers of this test alone
own_s3      a MinIO of this test alone
second_s3   VersityGW, which has no lifecycle
service_env settings of the service for `kafka` and `s3`
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.support import capabilities, packages, resolve
from tests.support.handles import KafkaHandle, S3Handle
from tests.support.kafka import ApacheKafka, KafkaCluster
from tests.support.kafka import own_kafka as kafka_of_one_test
from tests.support.processes import ServerFailed
from tests.support.s3 import MinioServer, S3Process, VersityServer
from tests.support.s3 import own_s3 as s3_of_one_test
from tests.support.stores import NAMES, Stores

settings.register_profile(
    "face2face",
    deadline=None,  # wall time: a busy machine makes any example slow
    suppress_health_check=[HealthCheck.too_slow],
    derandomize=True,  # what passed passes again; `--hypothesis-seed=N` looks elsewhere
)
settings.load_profile("face2face")


@pytest.fixture(scope="session", autouse=True)
def own_avatar_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No command line of a test finds or leaves prepared references in the user's cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("F2F_AVATAR_DIR", str(tmp_path_factory.mktemp("avatars")))
        yield


@pytest.hookimpl(trylast=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    """Say which servers this run takes, also under -q, which hides pytest's own header."""
    reporter = session.config.get_terminal_writer()
    try:
        lines = resolve.header()
    except ServerFailed as error:
        raise pytest.UsageError(str(error)) from error
    for line in lines:
        reporter.line(line)


@cache
def _cuda() -> bool:
    import torch

    return torch.cuda.is_available()


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what needs a CUDA device where there is none."""
    if item.get_closest_marker("gpu") and not _cuda():
        pytest.skip("needs a CUDA device; none is visible to torch")


@pytest.fixture(scope="session")
def kafka_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[resolve.KafkaServer]:
    """The broker of this run."""
    _, make = resolve.kafka_choice()
    server = make(tmp_path_factory.mktemp("kafka-server"))
    server.start()
    try:
        yield server
    finally:
        server.stop()


@pytest.fixture
def kafka(kafka_server: resolve.KafkaServer) -> Iterator[KafkaHandle]:
    """The broker, with a topic prefix of this test's own."""
    handle = KafkaHandle.fresh(kafka_server)
    try:
        yield handle
    finally:
        handle.delete_topics()


@pytest.fixture(scope="session")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stores]:
    """The stores of this run."""
    found = Stores(lambda: tmp_path_factory.mktemp("s3-server"))
    try:
        yield found
    finally:
        found.stop()


@pytest.fixture
def s3(stores: Stores) -> S3Handle:
    """The store of this run, with an empty bucket of this test's own."""
    return stores.fresh()


@pytest.fixture(params=NAMES)
def every_s3(request: pytest.FixtureRequest, stores: Stores) -> S3Handle:
    """Each store that this machine has, one after the other."""
    return stores.fresh(request.param)


@pytest.fixture
def second_s3(stores: Stores) -> S3Handle:
    """VersityGW; the test skips (or fails when strict) where it was not built."""
    if VersityServer.name not in NAMES:
        capabilities.unavailable(f"{VersityServer.name} was not built: `make test-servers`")
    return stores.fresh(VersityServer.name)


@pytest.fixture
def heard_signals() -> Iterator[None]:
    """SIGINT and SIGHUP reach what a test starts, also where they are ignored.

    A shell ignores them for what it runs in the background, as nohup does, and children inherit it.
    """
    before = {
        signal.SIGINT: signal.signal(signal.SIGINT, signal.default_int_handler),
        signal.SIGHUP: signal.signal(signal.SIGHUP, signal.SIG_DFL),
    }
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def own_kafka(tmp_path: Path) -> Iterator[ApacheKafka]:
    """An Apache Kafka of this test alone, which it may kill and start again."""
    if not packages.KAFKA.ready():
        capabilities.unavailable(f"{ApacheKafka.name} was not built: `make test-servers`")
    with kafka_of_one_test(tmp_path / "own-kafka") as server:
        yield server


@pytest.fixture
def own_s3(tmp_path: Path) -> Iterator[S3Process]:
    """A MinIO of this test alone, which it may kill and start again."""
    if not packages.MINIO.ready():
        capabilities.unavailable(f"{MinioServer.name} was not built: `make test-servers`")
    with s3_of_one_test(MinioServer, tmp_path / "own-s3") as server:
        yield server


@pytest.fixture
def service_env(kafka: KafkaHandle, s3: S3Handle, tmp_path: Path) -> dict[str, str]:
    """Settings of a service on `kafka` and `s3`, with scratch of its own and any free HTTP port."""
    return {
        **kafka.env,
        **s3.env,
        "DUIX_DATA_DIR": str(tmp_path / "data"),
        "F2F_HTTP_PORT": "0",
        "F2F_DEVICES": "cpu",
        "F2F_THREADS": "2",
    }


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[KafkaCluster]:
    """Three brokers."""
    if not packages.KAFKA.ready():
        capabilities.unavailable("Apache Kafka was not built: `make test-servers`")
    made = KafkaCluster(packages.KAFKA.home, tmp_path / "cluster")
    try:
        made.start()
        yield made
    finally:
        made.stop()
