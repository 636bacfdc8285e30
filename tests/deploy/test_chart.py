"""The Helm chart: what it renders is valid Kubernetes, and says what the service needs."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from consumer.settings import Settings
from consumer.settings_load import load
from schemas.engines import ENGINES
from tests.support import kube_schemas
from tests.support.packages import HELM, KUBE_SCHEMAS, KUBECONFORM, Package

ROOT = Path(__file__).parents[2]
CHART = ROOT / "deploy" / "helm" / "face2face"
VALUES: dict[str, Any] = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))
EVERYTHING = {
    "autoscaling.enabled": "true",
    "kafka.securityProtocol": "SASL_SSL",
    "kafka.credentialsSecret": "kafka-user",
    "kafka.caSecret": "kafka-ca",
    "s3.caSecret": "s3-ca",
    "s3.publicEndpoint": "https://s3.example",
    "otlpEndpoint": "http://otel:4318",
    "consumer.gpus": "1",
    "consumer.runtimeClassName": "nvidia",
    "consumer.weights.existingClaim": "weights",
    "consumer.scratch.storageClassName": "fast",
    "consumer.extraEnv.F2F_BACKLOG": "2",
    "gateway.ingress.enabled": "true",
    "gateway.ingress.host": "face.example",
    "gateway.ingress.tlsSecret": "tls",
    "gateway.allowedHosts[0]": "cdn.example",
}
Objects = dict[tuple[str, str], dict[str, Any]]


def _needs(*packages: Package) -> None:
    missing = [package.name for package in packages if not package.ready()]
    if missing:
        pytest.skip(f"not built: {', '.join(missing)}; `make test-deploy` builds them")


def _helm(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(HELM.home / "helm"), *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def _render(values: dict[str, str]) -> str:
    _needs(HELM)
    chosen = [word for name, value in values.items() for word in ("--set", f"{name}={value}")]
    done = _helm("template", "f2f", str(CHART), "--kube-version", "1.31.0", *chosen)
    assert done.returncode == 0, done.stderr
    return done.stdout


def _objects(text: str) -> Objects:
    found = [made for made in yaml.safe_load_all(text) if made]
    return {(made["kind"], made["metadata"]["name"]): made for made in found}


@pytest.fixture(scope="module", params=["defaults", "everything"])
def rendered(request: pytest.FixtureRequest) -> str:
    return _render(EVERYTHING if request.param == "everything" else {})


def test_lint_finds_nothing() -> None:
    _needs(HELM)
    done = _helm("lint", str(CHART), "--strict", "--kube-version", "1.31.0")
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_object_is_valid_for_kubernetes_and_keda(rendered: str) -> None:
    _needs(KUBECONFORM, KUBE_SCHEMAS)
    done = subprocess.run(
        [
            *(str(KUBECONFORM.home / "kubeconform"), "-strict", "-output", "json", "-summary"),
            *("-schema-location", f"{KUBE_SCHEMAS.home}/{kube_schemas.PATTERN}"),
        ],
        input=rendered,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    said = json.loads(done.stdout)
    assert done.returncode == 0, said
    assert said["summary"]["valid"] == len(_objects(rendered))
    assert said["summary"]["skipped"] == 0


def _pods(objects: Objects) -> list[tuple[str, dict[str, Any]]]:
    return [
        (f"{kind}/{name}", made["spec"]["template"]["spec"])
        for (kind, name), made in objects.items()
        if kind in ("StatefulSet", "Deployment", "Job")
    ]


def test_every_pod_is_without_rights_on_a_read_only_root(rendered: str) -> None:
    pods = _pods(_objects(rendered))
    assert len(pods) == 4
    for name, pod in pods:
        assert pod["securityContext"]["runAsNonRoot"] is True, name
        assert pod["securityContext"]["seccompProfile"]["type"] == "RuntimeDefault"
        assert pod["automountServiceAccountToken"] is False
        for container in pod["containers"]:
            security = container["securityContext"]
            assert security["readOnlyRootFilesystem"] is True
            assert security["allowPrivilegeEscalation"] is False
            assert security["capabilities"] == {"drop": ["ALL"]}
            assert container["resources"]["limits"]["memory"]


def test_what_is_mounted_is_a_volume_of_its_pod(rendered: str) -> None:
    objects = _objects(rendered)
    claims = {
        claim["metadata"]["name"]
        for made in objects.values()
        for claim in made.get("spec", {}).get("volumeClaimTemplates", ())
    }
    for name, pod in _pods(objects):
        volumes = {volume["name"] for volume in pod["volumes"]}
        mounts = {m["name"] for c in pod["containers"] for m in c["volumeMounts"]}
        assert mounts <= volumes | claims, name
        assert volumes <= mounts, f"{name}: a volume that nothing mounts"


def test_every_setting_is_real_and_no_secret_is_a_plain_value(rendered: str) -> None:
    known = {str(field.validation_alias) for field in Settings.model_fields.values()}
    for name, pod in _pods(_objects(rendered)):
        for container in pod["containers"]:
            env = {entry["name"]: entry.get("value") for entry in container["env"]}
            assert len(env) == len(container["env"]), "a setting is given twice"
            assert set(env) <= known | {f"{each}_FILE" for each in known} | {"TMPDIR"}, name
            assert not {"S3_SECRET_KEY", "KAFKA_SASL_PASSWORD", "F2F_API_KEY"} & set(env)
            mounts = [mount["mountPath"] for mount in container["volumeMounts"]]
            files = [value for key, value in env.items() if key.endswith("_FILE")]
            assert all(any(str(f).startswith(m + "/") for m in mounts) for f in files)
            plain = known - {"KAFKA_SSL_CA_FILE", "S3_CA_FILE"}  # those files are not here
            secret = {k.removesuffix("_FILE"): "a-secret-value" for k in env if k not in known}
            load({k: v for k, v in (secret | env).items() if v and k in plain})


def test_the_service_is_a_static_member_that_may_drain(rendered: str) -> None:
    pod = _objects(rendered)["StatefulSet", "f2f"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    env = {entry["name"]: entry for entry in container["env"]}
    instance = env["KAFKA_GROUP_INSTANCE_ID"]["valueFrom"]["fieldRef"]["fieldPath"]
    assert instance == "metadata.name"
    assert pod["terminationGracePeriodSeconds"] >= int(env["F2F_DRAIN_S"]["value"]) + 10
    paths = {p: container[p]["httpGet"]["path"] for p in ("livenessProbe", "readinessProbe")}
    assert paths == {"livenessProbe": "/livez", "readinessProbe": "/readyz"}
    assert container["startupProbe"]["httpGet"]["path"] == "/livez"


def test_selectors_find_their_pods_and_only_them(rendered: str) -> None:
    objects = _objects(rendered)
    labels = {
        made["metadata"]["name"]: made["spec"]["template"]["metadata"]["labels"]
        for (kind, _), made in objects.items()
        if kind in ("StatefulSet", "Deployment")
    }
    found = 0
    for (kind, name), made in objects.items():
        spec = made["spec"] if kind != "ServiceAccount" else {}
        selector = spec.get("selector") or spec.get("podSelector") or {}
        selector = selector.get("matchLabels", selector)
        if not selector:
            continue
        found += 1
        hit = [pod for pod, has in labels.items() if selector.items() <= has.items()]
        gateway = name.endswith("-gateway")
        assert hit == (["f2f-gateway"] if gateway else ["f2f"]), (kind, name)
    assert found == 8


def test_keda_counts_the_lag_of_the_group_that_the_pods_join() -> None:
    objects = _objects(_render(EVERYTHING))
    scaled = objects["ScaledObject", "f2f"]["spec"]
    assert scaled["scaleTargetRef"]["kind"] == "StatefulSet"
    settings = load({})
    assert objects["TriggerAuthentication", "f2f"]["spec"]["secretTargetRef"]
    topics = {trigger["metadata"]["topic"] for trigger in scaled["triggers"]}
    assert topics == {settings.topics.requests, settings.topics.retry}
    for trigger in scaled["triggers"]:
        assert trigger["metadata"]["consumerGroup"] == settings.kafka_group
        assert trigger["metadata"]["sasl"] == "scram_sha512"
        assert trigger["authenticationRef"]["name"] == "f2f"
    assert "replicas" not in objects["StatefulSet", "f2f"]["spec"], "KEDA's to choose"
    wanted = yaml.safe_load((ROOT / "deploy/topics.yaml").read_text(encoding="utf-8"))
    assert scaled["maxReplicaCount"] <= wanted["topics"]["requests"]["partitions"]


def test_init_jobs_run_commands_that_exist(rendered: str) -> None:
    import click

    from consumer.cli import cli

    jobs = [made for (kind, _), made in _objects(rendered).items() if kind == "Job"]
    assert len(jobs) == 2
    for job in jobs:
        arguments = list(job["spec"]["template"]["spec"]["containers"][0]["args"])
        command: click.Command = cli
        while isinstance(command, click.Group):
            found = command.get_command(click.Context(command), arguments.pop(0))
            assert found is not None
            command = found
        command.make_context("job", arguments)


@pytest.mark.parametrize(
    ("change", "names"),
    [
        ({"kafka": {"bootstrapServers": []}}, "bootstrapServers"),
        ({"kafka": {"securityProtocol": "SASL_SSL"}}, "credentialsSecret"),
        ({"s3": {"endpoint": "minio:9000"}}, "endpoint"),
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
    text = _render({"s3.credentials": "aws", "s3.credentialsSecret": ""})
    assert "s3-secret" not in text
    for name, pod in _pods(_objects(text)):
        for container in pod["containers"]:
            env = {entry["name"]: entry.get("value") for entry in container["env"]}
            assert env["S3_CREDENTIALS"] == "aws", name
            assert not {"S3_ACCESS_KEY_FILE", "S3_SECRET_KEY_FILE"} & set(env)


def test_with_a_role_the_jobs_before_an_installation_have_it_too() -> None:
    """They ran as nobody, and the installation failed: the service account comes after them."""
    role = r"serviceAccount.annotations.eks\.amazonaws\.com/role-arn"
    objects = _objects(_render({"s3.credentials": "aws", role: "arn:aws:iam::1:role/face"}))
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
    for (kind, name), made in _objects(_render({"s3.credentials": "aws"})).items():
        if kind == "NetworkPolicy":
            open_to = [
                peer["ipBlock"]["cidr"]
                for rule in made["spec"]["egress"]
                for peer in rule.get("to", ())
                if {"port": 80, "protocol": "TCP"} in rule["ports"]
            ]
            assert "169.254.170.23/32" in open_to, name


def test_the_cluster_may_choose_who_the_pods_run_as() -> None:
    """OpenShift refuses any number but those of the namespace."""
    values = {f"podSecurity.{name}": "null" for name in ("runAsUser", "runAsGroup", "fsGroup")}
    for name, pod in _pods(_objects(_render(values))):
        assert set(pod["securityContext"]) == {"runAsNonRoot", "seccompProfile"}, name
    for name, pod in _pods(_objects(_render({}))):
        assert pod["securityContext"]["runAsUser"] == 10001, name


def test_pods_of_a_cluster_without_ipv4_listen_where_they_are_asked() -> None:
    values = {"listenAddress": "::", "kafka.bootstrapServers[0]": "[fd00::7]:9092"}
    for kind in ("StatefulSet", "Deployment"):
        (made,) = (m for (k, _), m in _objects(_render(values)).items() if k == kind)
        (container,) = made["spec"]["template"]["spec"]["containers"]
        env = {entry["name"]: entry.get("value") for entry in container["env"]}
        assert env.get("F2F_HTTP_HOST", env.get("F2F_GATEWAY_HOST")) == "::"
        assert load({"KAFKA_BOOTSTRAP_SERVERS": str(env["KAFKA_BOOTSTRAP_SERVERS"])})


@pytest.mark.parametrize("engine", ENGINES)
def test_every_engine_can_be_the_chart_s(engine: str) -> None:
    schema = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))
    jsonschema.validate({**VALUES, "consumer": {**VALUES["consumer"], "engine": engine}}, schema)


def test_the_chart_has_the_version_of_the_package() -> None:
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text(encoding="utf-8"))
    assert chart["appVersion"] == project["version"]
