"""docker-compose.yml: every reference leads somewhere, every setting is real.

There is no Docker engine where these tests must run; so what an engine would resolve is followed
here by hand.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from urllib.parse import urlsplit

import click
import jsonschema
import pytest
import yaml

from consumer.cli import cli
from consumer.http.gateway import check_settings
from consumer.settings import Settings, SettingsError
from consumer.settings.load import load
from tests.deploy.compose import COMPOSE, OURS, ROOT, SERVICES
from tests.support.kube_schemas import COMPOSE_FILE
from tests.support.packages import COMPOSE_SCHEMA


def _resolve(text: str) -> str:
    """`${NAME:-default}` as Compose has it when the shell names nothing."""
    return re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", text)


def _environment(name: str) -> dict[str, str]:
    return {key: _resolve(value) for key, value in SERVICES[name].get("environment", {}).items()}


def test_the_file_is_valid_by_the_schema_that_compose_publishes() -> None:
    if not COMPOSE_SCHEMA.ready():
        pytest.skip("the schema was not fetched; `make test-deploy` does it")
    text = (COMPOSE_SCHEMA.home / COMPOSE_FILE).read_text(encoding="utf-8")
    jsonschema.validate(COMPOSE, json.loads(text))


def test_there_is_a_broker_a_store_and_the_service() -> None:
    assert {"kafka", "s3", "face2face"} <= set(SERVICES)
    assert "face2face" in OURS


@pytest.mark.parametrize("name", SERVICES)
def test_what_a_service_depends_on_exists_and_can_meet_the_condition(name: str) -> None:
    for other, how in SERVICES[name].get("depends_on", {}).items():
        assert other in SERVICES
        if how["condition"] == "service_healthy":
            assert "healthcheck" in SERVICES[other]
        if how["condition"] == "service_completed_successfully":
            assert SERVICES[other]["restart"] == "no"


@pytest.mark.parametrize("name", SERVICES)
def test_the_volumes_of_a_service_are_declared(name: str) -> None:
    mounts = [mount.split(":")[0] for mount in SERVICES[name].get("volumes", [])]
    named = _named(mounts)
    assert named <= set(COMPOSE["volumes"])


def test_every_declared_volume_is_used() -> None:
    used = {m.split(":")[0] for service in SERVICES.values() for m in service.get("volumes", [])}
    assert _named(used) == set(COMPOSE["volumes"])


def _named(sources: Iterable[str]) -> set[str]:
    """Those that are volumes and no folders."""
    return {source for source in sources if not source.startswith((".", "/"))}


@pytest.mark.parametrize("name", SERVICES)
def test_images_are_pinned_to_a_version(name: str) -> None:
    if name == "duix":
        pytest.skip("its publisher gives no versions; DUIX_IMAGE may name a digest")
    tag = _resolve(SERVICES[name]["image"]).rpartition(":")[2]
    assert tag not in ("", "latest")
    assert name in OURS or re.search(r"\d", tag)


def test_ports_are_open_on_loopback_only_and_do_not_collide() -> None:
    ports = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert all(port.startswith("127.0.0.1:") for port in ports)
    assert len({port.split(":")[1] for port in ports}) == len(ports)


@pytest.mark.parametrize("name", OURS)
def test_our_services_get_real_settings_that_can_work(name: str) -> None:
    known = {str(field.validation_alias) for field in Settings.model_fields.values()}
    environment = _environment(name)
    assert set(environment) <= known | {"TMPDIR"}
    load(environment)


@pytest.mark.parametrize("name", OURS)
def test_our_services_find_broker_and_store_by_name_and_credentials(name: str) -> None:
    settings = load(_environment(name))
    listeners = _environment("kafka")["KAFKA_ADVERTISED_LISTENERS"]
    assert all(f"PLAINTEXT://{server}" in listeners for server in settings.kafka_servers)
    assert urlsplit(settings.s3_endpoint).hostname in SERVICES
    store = _environment("s3")
    assert settings.s3_access_key == store["MINIO_ROOT_USER"]
    assert settings.s3_secret_key.get_secret_value() == store["MINIO_ROOT_PASSWORD"]


def test_addresses_for_the_host_are_published() -> None:
    listeners = _environment("kafka")["KAFKA_ADVERTISED_LISTENERS"]
    host = re.search(r"HOST://localhost:(\d+)", listeners)
    assert host is not None
    assert f"127.0.0.1:{host[1]}:{host[1]}" in SERVICES["kafka"]["ports"]
    public = urlsplit(str(load(_environment("face2face")).s3_public_endpoint))
    assert f"127.0.0.1:{public.port}:{public.port}" in SERVICES["s3"]["ports"]


def test_every_listener_of_the_broker_has_a_protocol_and_a_port() -> None:
    environment = _environment("kafka")
    listeners = {part.split(":")[0] for part in environment["KAFKA_LISTENERS"].split(",")}
    protocols = environment["KAFKA_LISTENER_SECURITY_PROTOCOL_MAP"].split(",")
    assert listeners == {part.split(":")[0] for part in protocols}
    advertised = environment["KAFKA_ADVERTISED_LISTENERS"].split(",")
    assert {part.split(":")[0] for part in advertised} < listeners
    assert environment["KAFKA_AUTO_CREATE_TOPICS_ENABLE"] == "false"


@pytest.mark.parametrize("name", OURS)
def test_our_services_run_commands_that_exist(name: str) -> None:
    command: click.Command = cli
    arguments = list(SERVICES[name]["command"])
    while isinstance(command, click.Group):
        found = command.get_command(click.Context(command), arguments.pop(0))
        assert found is not None, SERVICES[name]["command"]
        command = found
    command.make_context(name, arguments)


def test_the_health_check_asks_the_port_that_is_served() -> None:
    service = SERVICES["face2face"]
    asked = urlsplit(re.findall(r"http://[^']+", service["healthcheck"]["test"][-1])[0])
    settings = load(_environment("face2face"))
    assert asked.port == settings.http_port
    assert settings.http_host == "0.0.0.0"  # inside its own network namespace


def test_the_gateway_is_what_this_machine_reaches_and_has_a_key() -> None:
    service, settings = SERVICES["gateway"], load(_environment("gateway"))
    asked = urlsplit(re.findall(r"http://[^']+", service["healthcheck"]["test"][-1])[0])
    assert asked.port == settings.gateway_port
    assert f"127.0.0.1:{settings.gateway_port}:{settings.gateway_port}" in service["ports"]
    assert settings.gateway_host == "0.0.0.0"
    check_settings(settings)
    with pytest.raises(SettingsError, match="F2F_API_KEY"):
        check_settings(settings.model_copy(update={"api_key": None}))


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_is_bounded_watched_and_without_new_rights(name: str) -> None:
    service = SERVICES[name]
    assert "no-new-privileges:true" in service["security_opt"]
    assert service["logging"]["options"]["max-size"]
    assert "privileged" not in service
    if name != "duix":  # it takes what its models need
        assert service["mem_limit"]
    if service["restart"] != "no":
        assert service["healthcheck"]["test"]


@pytest.mark.parametrize("name", OURS)
def test_our_services_write_nowhere_but_to_their_volume(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]


def test_the_profiles_are_those_that_the_head_of_the_file_explains() -> None:
    text = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
    used = {profile for service in SERVICES.values() for profile in service.get("profiles", [])}
    assert used == set(re.findall(r"--profile (\w+)", text))


def test_every_file_that_compose_mounts_exists() -> None:
    mounts = [m for service in SERVICES.values() for m in service.get("volumes", [])]
    sources = [ROOT / m.split(":")[0] for m in mounts if m.startswith("./")]
    assert sources
    assert all(source.exists() for source in sources)


def test_prometheus_asks_the_services_where_they_listen() -> None:
    config = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yaml").read_text("utf-8"))
    assert (ROOT / "deploy/prometheus" / config["rule_files"][0]).is_file()
    asked = set()
    for job in config["scrape_configs"]:
        (found,) = job["dns_sd_configs"]
        for service in found["names"]:
            asked.add(service)
            settings = load(_environment(service))
            port = settings.gateway_port if service == "gateway" else settings.http_port
            assert found["port"] == port
    serving = {n for n, made in SERVICES.items() if made.get("command") in (["run"], ["gateway"])}
    assert asked == serving


def test_the_board_finds_its_data_source() -> None:
    folder = ROOT / "deploy/grafana/provisioning"
    sources = yaml.safe_load((folder / "datasources/prometheus.yaml").read_text("utf-8"))
    url = urlsplit(sources["datasources"][0]["url"])
    assert url.hostname in SERVICES
    mounts = SERVICES["grafana"]["volumes"]
    boards = yaml.safe_load((folder / "dashboards/face2face.yaml").read_text("utf-8"))
    path = boards["providers"][0]["options"]["path"]
    assert any(mount.split(":")[1] == path for mount in mounts)


def test_the_engine_waits_longer_than_the_service_drains() -> None:
    service = SERVICES["face2face"]
    grace_s = int(service["stop_grace_period"].removesuffix("s"))
    assert grace_s >= load(_environment("face2face")).drain_s + 10


def test_scratch_is_on_a_volume_because_the_root_is_read_only() -> None:
    service = SERVICES["face2face"]
    assert service["read_only"] is True
    targets = [mount.split(":")[1] for mount in service["volumes"]]
    assert str(load(_environment("face2face")).data_dir) in targets
