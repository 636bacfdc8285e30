"""`face2face detect`: the labels of a file, read back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from consumer.commands.local import typed_errors
from consumer.local.console import CommandError, emit, tell
from consumer.local.files import existing
from consumer.local.known_jobs import jobs_of_store, remembered
from consumer.local.options import JSON_FLAG

FILE = click.Path(path_type=Path)


@click.command()
@click.argument("file", type=FILE)
@click.option("--trust", type=FILE, default=None, help="certificates (PEM) to trust as signers")
@click.option(
    "--job-id", "jobs", multiple=True, help="a job that may have made it; may be given often"
)
@click.option(
    "--bucket",
    default=None,
    help="also compare with the jobs whose results are in this bucket of the store",
)
@click.option("--prefix", default="", help="what stands before results/ there, such as team-a/")
@JSON_FLAG
def detect(
    file: Path,
    trust: Path | None,
    jobs: tuple[str, ...],
    bucket: str | None,
    prefix: str,
    as_json: bool,
) -> None:
    """Say which labels of Face2Face a file carries, whether they hold, and which job made it.

    Each layer is found, verified (it holds), broken (it was tampered with), foreign (somebody
    else's) or absent. The watermark holds a digest of the job id. It is compared with the jobs
    that `face2face render` made here, those of --job-id, and those of --bucket.
    Exit code 0 whatever is found. With --json: one object {"found", "job_id", "layers"}.
    """
    existing(file, "FILE")
    anchors = _anchors(trust)
    known = [*jobs, *jobs_of_store(bucket, prefix), *remembered()]
    with typed_errors("pipeline.mark.reading"):
        from pipeline.mark.reading import read_labels

        labels = read_labels(file, anchors, known)
    if as_json:
        emit(labels)
        return
    tell(_sentence(labels))
    for name, layer in labels["layers"].items():
        tell(f"  {name:<10} {layer['status']:<9} {_why(layer)}".rstrip())


def _anchors(path: Path | None) -> str | None:
    if path is None:
        return None
    from cryptography.x509 import load_pem_x509_certificates

    try:
        text = path.read_text(encoding="ascii")
        # asked of here: a signature is called broken where what it may lead to is no certificate
        load_pem_x509_certificates(text.encode())
    except (OSError, ValueError) as error:
        raise CommandError.usage(f"--trust {str(path)!r} cannot be read as PEM: {error}") from error
    return text


def _sentence(labels: dict[str, Any]) -> str:
    if not labels["found"]:
        return "no label of Face2Face was found"
    job = labels["job_id"]
    return (
        f"made by Face2Face, job {job}" if job else "labels of Face2Face, but no job id that holds"
    )


def _why(layer: dict[str, Any]) -> str:
    if layer["status"] == "broken":
        return layer.get("reason") or ", ".join(layer.get("reasons", []))
    if layer["status"] == "foreign":
        return f"by {layer.get('producer') or 'an unnamed producer'}"
    if "digest" in layer:
        job = layer.get("job_id")
        return f"digest {layer['digest']}" + (f", job {job}" if job else ", of no job known here")
    if "trust" in layer:
        return f"signed by {layer['signed_by']} ({layer['trust']})"
    return ""
