"""`face2face doctor`: what this machine has, what is missing and what to do."""

from __future__ import annotations

import asyncio
import platform
from dataclasses import asdict
from importlib.metadata import version

import click

from consumer.caches import weights_root
from consumer.commands.local import why_duix_is_silent
from consumer.doctor import examine
from consumer.doctor.findings import Finding, State
from consumer.doctor.gpus import torch_and_gpus
from consumer.local.console import FAILED, emit, tell
from consumer.local.options import JSON_FLAG
from consumer.settings import Settings
from consumer.settings.load import load
from consumer.settings.names import unknown_names
from consumer.workers.processors import available

_MARKS: dict[State, str] = {"ok": "ok  ", "warn": "warn", "bad": "BAD "}


@click.command()
@JSON_FLAG
def doctor(as_json: bool) -> int:
    """Say what this machine has, what is missing and what to do. Changes nothing.

    Exit code 0 when the service can work here, 1 when something is bad.
    """
    settings = load()
    findings = [
        _machine(),
        torch_and_gpus(settings),
        *_names(),
        *_weights(settings.engine),
        _duix(settings),
        *asyncio.run(examine(settings)),
    ]
    healthy = all(finding.state != "bad" for finding in findings)
    if as_json:
        emit({"ok": healthy, "checks": [asdict(finding) for finding in findings]})
    else:
        for finding in findings:
            tell(f"{_MARKS[finding.state]}  {finding.check:<10} {finding.text}")
            if finding.advice and finding.state != "ok":
                tell(f"{'':>18}→ {finding.advice}")
    return 0 if healthy else FAILED


def _machine() -> Finding:
    text = (
        f"face2face {version('face2face')}, Python {platform.python_version()},"
        f" {available()} processors"
    )
    return Finding("machine", "ok", text)


def _names() -> list[Finding]:
    advice = "Correct the name, or take it out of the environment."
    return [Finding("settings", "warn", line, advice) for line in unknown_names()]


def _weights(wanted: str) -> list[Finding]:
    from pipeline.engines import registry
    from pipeline.errors import PipelineError
    from pipeline.weights import use_weights_root, verify_faces

    use_weights_root(weights_root())
    try:
        faces = Finding("weights", "ok", f"face models in {verify_faces()}")
    except PipelineError as error:
        faces = Finding("weights", "bad", error.message, "Run `face2face weights pull faces`.")
    names = ", ".join(engine.name for engine in registry.available()) or "none"
    lack = registry.missing().get(wanted)
    if lack is not None:
        text = f"{wanted!r} (F2F_ENGINE) cannot run here: {lack.message}"
        return [
            faces,
            Finding("engines", "bad", text, f"Do so, or set F2F_ENGINE to one that can: {names}."),
        ]
    return [faces, Finding("engines", "ok", names)]


def _duix(settings: Settings) -> Finding:
    """The container of one engine: few have it, and it is missed where jobs go there unasked."""
    why = why_duix_is_silent(settings)
    if why is None:
        return Finding("duix", "ok", f"its container answers at {settings.duix_url}")
    if settings.engine != "duix":
        text = f"nothing answers at {settings.duix_url}; the engine duix alone would need it"
        return Finding("duix", "ok", text)
    return Finding("duix", "bad", why, "Start the container, or correct DUIX_INTERNAL_URL.")
