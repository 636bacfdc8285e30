"""JSON Schemas of Kubernetes, KEDA and Compose, made from their own sources.

`go mod download` fetches the published modules; Kubernetes' OpenAPI 2 document and KEDA's custom
resource definitions in them become one strict JSON Schema per kind, as kubeconform looks for them.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import yaml

KUBERNETES_VERSION = "v1.33.3"
KEDA_VERSION = "v2.17.2"
COMPOSE_VERSION = "v2.9.0"
"""Of compose-go, which Docker Compose is built from."""
COMPOSE_FILE = "compose-spec.json"
KINDS = {
    "io.k8s.api.apps.v1.": ("StatefulSet", "Deployment"),
    "io.k8s.api.core.v1.": ("Service", "ServiceAccount"),
    "io.k8s.api.batch.v1.": ("Job",),
    "io.k8s.api.policy.v1.": ("PodDisruptionBudget",),
    "io.k8s.api.networking.v1.": ("NetworkPolicy", "Ingress"),
}
KEDA_FILES = ("keda.sh_scaledobjects.yaml", "keda.sh_triggerauthentications.yaml")
PATTERN = "{{ .ResourceKind }}_{{ .ResourceAPIVersion }}.json"
"""What `kubeconform -schema-location FOLDER/PATTERN` fills in; kinds come in lower case."""


def make(target: Path) -> None:
    """Fill a folder with the schemas.

    Raises:
        OSError, subprocess.SubprocessError: Go or its proxy does not do its part.
    """
    spec = _module(f"k8s.io/kubernetes@{KUBERNETES_VERSION}", target) / "api/openapi-spec"
    definitions = json.loads((spec / "swagger.json").read_text(encoding="utf-8"))["definitions"]
    for package, kinds in KINDS.items():
        version = package.rstrip(".").rpartition(".")[2]
        for kind in kinds:
            _write(target, kind, version, _strict(definitions[package + kind], definitions))
    crds = _module(f"github.com/kedacore/keda/v2@{KEDA_VERSION}", target) / "config/crd/bases"
    for name in KEDA_FILES:
        definition = yaml.safe_load((crds / name).read_text(encoding="utf-8"))["spec"]
        for version in definition["versions"]:
            schema = version["schema"]["openAPIV3Schema"]
            _write(target, definition["names"]["kind"], version["name"], _strict(schema, {}))


def make_compose(target: Path) -> None:
    """Fetch the published JSON Schema of Compose files.

    Raises:
        OSError, subprocess.SubprocessError: Go or its proxy does not do its part.
    """
    module = _module(f"github.com/compose-spec/compose-go/v2@{COMPOSE_VERSION}", target)
    (target / COMPOSE_FILE).write_bytes((module / "schema" / COMPOSE_FILE).read_bytes())


def _module(name: str, folder: Path) -> Path:
    done = subprocess.run(
        ["go", "mod", "download", "-json", name],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=600,
        check=True,
    )
    return Path(json.loads(done.stdout)["Dir"])


def _write(target: Path, kind: str, version: str, schema: dict[str, Any]) -> None:
    path = target / f"{kind.lower()}_{version}.json"
    path.write_text(json.dumps(schema), encoding="utf-8")


def _strict(schema: Any, definitions: dict[str, Any], top: bool = True) -> Any:
    """The schema without references, and without room for a mistyped field."""
    if isinstance(schema, list):
        return [_strict(each, definitions, top=False) for each in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        found = definitions[schema["$ref"].removeprefix("#/definitions/")]
        return _strict(found, definitions, top=False)
    if schema.get("format") == "int-or-string" or schema.get("x-kubernetes-int-or-string"):
        return {"type": ["integer", "string"]}
    made: dict[str, Any] = {}
    for name, value in schema.items():
        if name == "properties":
            made[name] = {n: _strict(v, definitions, top=False) for n, v in value.items()}
        elif name not in ("description", "default", "format") and not name.startswith("x-"):
            made[name] = _strict(value, definitions, top=False)
    if top:
        made["properties"] |= {"metadata": {"type": "object"}} if not definitions else {}
    if "properties" in made and "additionalProperties" not in made:
        made["additionalProperties"] = False
    return made
