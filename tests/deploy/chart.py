"""The Helm chart, rendered."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.packages import HELM, Package

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


def needs(*packages: Package) -> None:
    missing = [package.name for package in packages if not package.ready()]
    if missing:
        pytest.skip(f"not built: {', '.join(missing)}; `make test-deploy` builds them")


def helm(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(HELM.home / "helm"), *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def render(values: dict[str, str], *files: Path) -> str:
    needs(HELM)
    chosen = [word for name, value in values.items() for word in ("--set", f"{name}={value}")]
    chosen += [word for file in files for word in ("--values", str(file))]
    done = helm("template", "f2f", str(CHART), "--kube-version", "1.31.0", *chosen)
    assert done.returncode == 0, done.stderr
    return done.stdout


def objects_of(text: str) -> Objects:
    found = [made for made in yaml.safe_load_all(text) if made]
    return {(made["kind"], made["metadata"]["name"]): made for made in found}


def env_of(text: str, kind: str) -> dict[str, Any]:
    """Settings of the one container of the one object of a kind."""
    (made,) = (m for (k, _), m in objects_of(text).items() if k == kind)
    (container,) = made["spec"]["template"]["spec"]["containers"]
    return {entry["name"]: entry.get("value") for entry in container["env"]}


def pods_of(objects: Objects) -> list[tuple[str, dict[str, Any]]]:
    return [
        (f"{kind}/{name}", made["spec"]["template"]["spec"])
        for (kind, name), made in objects.items()
        if kind in ("StatefulSet", "Deployment", "Job")
    ]
