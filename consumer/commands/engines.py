"""`face2face engines`: the engines that can run here."""

from __future__ import annotations

import click

from consumer.commands.local import typed_errors, use_settings
from consumer.local.console import emit, say, tell
from consumer.local.options import JSON_FLAG


@click.command()
@JSON_FLAG
def engines(as_json: bool) -> None:
    """List the engines that can run on this machine, and what the others lack."""
    with typed_errors("pipeline.engines.registry"):
        from pipeline.engines import registry

        use_settings()
        found, missing = registry.available(), registry.missing()
    for name, error in missing.items():
        say(f"not here: {name}: {error.message}")
    if as_json:
        emit(
            {
                "engines": [engine.model_dump(mode="json") for engine in found],
                "missing": {name: error.message for name, error in missing.items()},
            }
        )
        return
    for engine in found:
        weights = ", ".join(f"{w.name} {w.revision}" for w in engine.weights) or "no weights"
        tell(f"{engine.name} {engine.version} ({engine.revision}) on {engine.device}: {weights}")
