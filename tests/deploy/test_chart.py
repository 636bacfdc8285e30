"""The Helm chart: what it renders is valid Kubernetes, and says what the service needs."""

from __future__ import annotations

import json
import re
import subprocess
from typing import Any

import pytest
import yaml

from consumer.settings import Settings
from consumer.settings.load import load
from tests.deploy.chart import CHART, EVERYTHING, ROOT, helm, needs, objects_of, pods_of, render
from tests.support import kube_schemas
from tests.support.packages import HELM, KUBE_SCHEMAS, KUBECONFORM


@pytest.fixture(scope="module", params=["defaults", "everything"])
def rendered(request: pytest.FixtureRequest) -> str:
    return render(EVERYTHING if request.param == "everything" else {})


def test_lint_finds_nothing() -> None:
    needs(HELM)
    done = helm("lint", str(CHART), "--strict", "--kube-version", "1.31.0")
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_object_is_valid_for_kubernetes_and_keda(rendered: str) -> None:
    needs(KUBECONFORM, KUBE_SCHEMAS)
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
    assert said["summary"]["valid"] == len(objects_of(rendered))
    assert said["summary"]["skipped"] == 0


def test_every_pod_is_without_rights_on_a_read_only_root(rendered: str) -> None:
    pods = pods_of(objects_of(rendered))
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
    objects = objects_of(rendered)
    claims = {
        claim["metadata"]["name"]
        for made in objects.values()
        for claim in made.get("spec", {}).get("volumeClaimTemplates", ())
    }
    for name, pod in pods_of(objects):
        volumes = {volume["name"] for volume in pod["volumes"]}
        mounts = {m["name"] for c in pod["containers"] for m in c["volumeMounts"]}
        assert mounts <= volumes | claims, name
        assert volumes <= mounts, f"{name}: a volume that nothing mounts"


def test_every_setting_is_real_and_no_secret_is_a_plain_value(rendered: str) -> None:
    known = {str(field.validation_alias) for field in Settings.model_fields.values()}
    for name, pod in pods_of(objects_of(rendered)):
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
    pod = objects_of(rendered)["StatefulSet", "f2f"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    env = {entry["name"]: entry for entry in container["env"]}
    instance = env["KAFKA_GROUP_INSTANCE_ID"]["valueFrom"]["fieldRef"]["fieldPath"]
    assert instance == "metadata.name"
    assert pod["terminationGracePeriodSeconds"] >= int(env["F2F_DRAIN_S"]["value"]) + 10
    paths = {p: container[p]["httpGet"]["path"] for p in ("livenessProbe", "readinessProbe")}
    assert paths == {"livenessProbe": "/livez", "readinessProbe": "/readyz"}
    assert container["startupProbe"]["httpGet"]["path"] == "/livez"


def test_selectors_find_their_pods_and_only_them(rendered: str) -> None:
    objects = objects_of(rendered)
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


def test_prometheus_finds_each_pod_for_one_job_by_its_labels(rendered: str) -> None:
    config = yaml.safe_load((ROOT / "deploy/prometheus/kubernetes.yaml").read_text("utf-8"))
    taken = {}
    for (kind, name), made in objects_of(rendered).items():
        if kind not in ("StatefulSet", "Deployment", "Job"):
            continue
        template = made["spec"]["template"]
        facts = {
            f"pod_label_{re.sub('[^a-z]', '_', label)}": value
            for label, value in template["metadata"].get("labels", {}).items()
        }
        (container,) = template["spec"]["containers"]
        ports = [port["name"] for port in container.get("ports", [])]
        facts["pod_container_port_name"] = "".join(ports)
        taken[name] = [job["job_name"] for job in config["scrape_configs"] if _kept(job, facts)]
    assert taken.pop("f2f") == ["face2face"]
    assert taken.pop("f2f-gateway") == ["face2face-gateway"]
    assert not any(taken.values())


def _kept(job: dict[str, Any], facts: dict[str, str]) -> bool:
    """Whether a job scrapes the pod of these facts."""
    known = {f"__meta_kubernetes_{name}": value for name, value in facts.items()}
    known["job"] = job["job_name"]
    return all(
        re.fullmatch(rule["regex"], ";".join(known.get(n, "") for n in rule["source_labels"]))
        for rule in job["relabel_configs"]
        if rule.get("action") == "keep"
    )


def test_every_pod_that_serves_says_that_it_has_metrics(rendered: str) -> None:
    for (kind, name), made in objects_of(rendered).items():
        if kind in ("StatefulSet", "Deployment"):
            said = made["spec"]["template"]["metadata"].get("annotations", {})
            assert said.get("prometheus.io/scrape") == "true", name
            assert said["prometheus.io/path"] == "/metrics"
            assert said["prometheus.io/port"] == "8385"


def test_who_may_scrape_reaches_the_gateways_too() -> None:
    who = {"networkPolicy.metricsFrom[0].podSelector.matchLabels.app": "prometheus"}
    calls = {"networkPolicy.gatewayFrom[0].podSelector.matchLabels.app": "web"}
    for chosen, gateway in ((who, None), (who | calls, ["web", "prometheus"])):
        objects = objects_of(render(chosen))
        found = {
            name: [one["podSelector"]["matchLabels"]["app"] for one in rule["from"]]
            if "from" in (rule := made["spec"]["ingress"][0])
            else None
            for (kind, name), made in objects.items()
            if kind == "NetworkPolicy"
        }
        assert found == {"f2f-consumer": ["prometheus"], "f2f-gateway": gateway}


def test_keda_counts_the_lag_of_the_group_that_the_pods_join() -> None:
    objects = objects_of(render(EVERYTHING))
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

    jobs = [made for (kind, _), made in objects_of(rendered).items() if kind == "Job"]
    assert len(jobs) == 2
    for job in jobs:
        arguments = list(job["spec"]["template"]["spec"]["containers"][0]["args"])
        command: click.Command = cli
        while isinstance(command, click.Group):
            found = command.get_command(click.Context(command), arguments.pop(0))
            assert found is not None
            command = found
        command.make_context("job", arguments)


def test_the_chart_has_the_version_of_the_package() -> None:
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text(encoding="utf-8"))
    assert chart["appVersion"] == project["version"]
