"""Values of the chart: those that cannot work are refused, and each of the others does its part."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from consumer.settings.load import load
from schemas.engines import ENGINES
from tests.deploy.chart import CHART, VALUES, env_of, helm, needs, objects_of, pods_of, render
from tests.support.packages import HELM


@pytest.mark.parametrize(
    ("change", "names"),
    [
        ({"kafka": {"bootstrapServers": []}}, "bootstrapServers"),
        ({"kafka": {"securityProtocol": "SASL_SSL"}}, "credentialsSecret"),
        ({"s3": {"endpoint": "minio:9000"}}, "endpoint"),
        ({"s3": {"endpoint": "http://minio:9000/bucket"}}, "endpoint"),
        ({"s3": {"publicEndpoint": "https://user@minio"}}, "publicEndpoint"),
        ({"s3": {"credentialsSecret": ""}}, "credentialsSecret"),
        ({"gateway": {"apiKeySecret": ""}}, "apiKeySecret"),
        ({"consumer": {"extraEnv": {"S3_SECRET_KEY": "plain"}}}, "extraEnv"),
        ({"consumer": {"slot": 2}}, "consumer"),
        ({"consumer": {"engine": "nonsense"}}, "engine"),
    ],
)
def test_values_that_cannot_work_are_refused(change: dict[str, Any], names: str) -> None:
    schema = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))
    jsonschema.validate(VALUES, schema)
    ((section, fields),) = change.items()
    values = {**VALUES, section: {**VALUES[section], **fields}}
    with pytest.raises(jsonschema.ValidationError) as caught:
        jsonschema.validate(values, schema)
    assert names in str(list(caught.value.absolute_path))


def test_with_keys_of_a_role_the_chart_mounts_no_secret_of_the_store() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))
    aws = {**VALUES["s3"], "credentials": "aws", "credentialsSecret": ""}
    jsonschema.validate({**VALUES, "s3": aws}, schema)
    text = render({"s3.credentials": "aws", "s3.credentialsSecret": ""})
    assert "s3-secret" not in text
    for name, pod in pods_of(objects_of(text)):
        for container in pod["containers"]:
            env = {entry["name"]: entry.get("value") for entry in container["env"]}
            assert env["S3_CREDENTIALS"] == "aws", name
            assert not {"S3_ACCESS_KEY_FILE", "S3_SECRET_KEY_FILE"} & set(env)


def test_with_a_role_the_jobs_before_an_installation_have_it_too() -> None:
    """They ran as nobody, and the installation failed: the service account comes after them."""
    role = r"serviceAccount.annotations.eks\.amazonaws\.com/role-arn"
    objects = objects_of(render({"s3.credentials": "aws", role: "arn:aws:iam::1:role/face"}))
    for (kind, name), made in objects.items():
        if kind != "Job":
            continue
        account = objects["ServiceAccount", made["spec"]["template"]["spec"]["serviceAccountName"]][
            "metadata"
        ]["annotations"]
        hooks = made["metadata"]["annotations"]
        assert account["helm.sh/hook"] == hooks["helm.sh/hook"], name
        assert int(account["helm.sh/hook-weight"]) < int(hooks.get("helm.sh/hook-weight", "0"))
        assert account["eks.amazonaws.com/role-arn"] == "arn:aws:iam::1:role/face"


def test_with_a_role_the_pods_may_ask_who_gives_out_its_keys() -> None:
    for (kind, name), made in objects_of(render({"s3.credentials": "aws"})).items():
        if kind == "NetworkPolicy":
            open_to = [
                peer["ipBlock"]["cidr"]
                for rule in made["spec"]["egress"]
                for peer in rule.get("to", ())
                if {"port": 80, "protocol": "TCP"} in rule["ports"]
            ]
            assert "169.254.170.23/32" in open_to, name


@pytest.mark.parametrize(
    ("values", "port"),
    [
        ({"kafka.bootstrapServers[0]": "kafka:19092"}, 19092),
        ({"kafka.bootstrapServers[0]": "[fd00::7]:19092"}, 19092),
        ({"s3.endpoint": "http://minio:9001"}, 9001),
        ({"s3.endpoint": "http://minio"}, 80),
        ({"otlpEndpoint": "http://otel:4000/"}, 4000),
    ],
)
def test_no_policy_keeps_pods_from_what_their_settings_name(
    values: dict[str, str], port: int
) -> None:
    for (kind, name), made in objects_of(render(values)).items():
        if kind == "NetworkPolicy":
            allowed = [each for rule in made["spec"]["egress"] for each in rule["ports"]]
            assert {"port": port, "protocol": "TCP"} in allowed, name
            assert {"port": 443, "protocol": "TCP"} in allowed, name
            assert len(allowed) == len({tuple(each.items()) for each in allowed}), name


def test_hosts_that_inputs_may_come_from_are_those_of_every_pod() -> None:
    """A location in /v1/jobs or on the topic is fetched by the replica and not by the gateway."""
    text = render({"gateway.allowedHosts[0]": "cdn.example"})
    for kind in ("StatefulSet", "Deployment"):
        assert env_of(text, kind)["F2F_ALLOWED_HOSTS"] == "cdn.example", kind


def test_hosts_that_the_consumer_was_given_by_itself_are_still_its_own() -> None:
    """It was the one way before; a name that stands twice is refused by server-side apply."""
    values = {
        "gateway.allowedHosts[0]": "cdn.example",
        "consumer.extraEnv.F2F_ALLOWED_HOSTS": "own.example",
    }
    for _, pod in pods_of(objects_of(render(values))):
        for container in pod["containers"]:
            names = [each["name"] for each in container["env"]]
            assert len(names) == len(set(names)), container["name"]
    assert env_of(render(values), "StatefulSet")["F2F_ALLOWED_HOSTS"] == "own.example"


def test_a_large_number_of_a_file_of_values_is_still_that_number(tmp_path: Path) -> None:
    many = {"F2F_MAX_INPUT_BYTES": 4 * 2**30, "F2F_LEASE_S": 20.5, "F2F_NVDEC": False}
    file = tmp_path / "values.yaml"
    env = {"consumer": {"extraEnv": many}, "gateway": {"extraEnv": many}}
    file.write_text(yaml.safe_dump(env), encoding="utf-8")
    text = render({}, file)
    for kind in ("StatefulSet", "Deployment"):
        found = env_of(text, kind)
        assert found["F2F_MAX_INPUT_BYTES"] == "4294967296", kind
        assert load({name: found[name] for name in many}).lease_s == 20.5, kind


def test_parts_of_a_gpu_are_asked_for_beside_or_instead_of_whole_ones(tmp_path: Path) -> None:
    file = tmp_path / "values.yaml"
    part = {"nvidia.com/mig-1g.10gb": 1}
    file.write_text(yaml.safe_dump({"consumer": {"resources": {"limits": part}}}), encoding="utf-8")
    for gpus, whole in (("0", None), ("2", "2")):
        pods = dict(pods_of(objects_of(render({"consumer.gpus": gpus}, file))))
        (limits,) = [
            each["resources"]["limits"]
            for pod in pods.values()
            for each in pod["containers"]
            if "nvidia.com/mig-1g.10gb" in each["resources"]["limits"]
        ]
        assert limits.get("nvidia.com/gpu") == whole
        assert limits["memory"] == "8Gi"


def test_the_cluster_may_choose_who_the_pods_run_as() -> None:
    """OpenShift refuses any number but those of the namespace."""
    values = {f"podSecurity.{name}": "null" for name in ("runAsUser", "runAsGroup", "fsGroup")}
    for name, pod in pods_of(objects_of(render(values))):
        assert set(pod["securityContext"]) == {"runAsNonRoot", "seccompProfile"}, name
    for name, pod in pods_of(objects_of(render({}))):
        assert pod["securityContext"]["runAsUser"] == 10001, name


def test_a_group_of_number_0_is_one_as_any_other() -> None:
    values = {f"podSecurity.{name}": "0" for name in ("runAsGroup", "fsGroup")}
    for name, pod in pods_of(objects_of(render(values))):
        ids = {key: pod["securityContext"].get(key) for key in ("runAsGroup", "fsGroup")}
        assert ids == {"runAsGroup": 0, "fsGroup": 0}, name


def test_pods_of_a_cluster_without_ipv4_listen_where_they_are_asked() -> None:
    values = {"listenAddress": "::", "kafka.bootstrapServers[0]": "[fd00::7]:9092"}
    text = render(values)
    for kind in ("StatefulSet", "Deployment"):
        env = env_of(text, kind)
        assert env.get("F2F_HTTP_HOST", env.get("F2F_GATEWAY_HOST")) == "::"
        assert load({"KAFKA_BOOTSTRAP_SERVERS": str(env["KAFKA_BOOTSTRAP_SERVERS"])})


def test_fewer_pods_at_most_than_at_least_are_refused_by_both_names() -> None:
    needs(HELM)
    values = "autoscaling.enabled=true,autoscaling.minReplicas=9,autoscaling.maxReplicas=3"
    done = helm("template", "f2f", str(CHART), "--kube-version", "1.31.0", "--set", values)
    assert done.returncode != 0
    assert "autoscaling.minReplicas = 9 is above autoscaling.maxReplicas = 3" in done.stderr


def test_an_image_may_be_named_by_its_digest() -> None:
    named = "registry.example/face2face@sha256:" + "0" * 64
    for name, pod in pods_of(objects_of(render({"image.repository": named}))):
        assert [container["image"] for container in pod["containers"]] == [named], name


@pytest.mark.parametrize("engine", ENGINES)
def test_every_engine_can_be_the_chart_s(engine: str) -> None:
    schema = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))
    jsonschema.validate({**VALUES, "consumer": {**VALUES["consumer"], "engine": engine}}, schema)
