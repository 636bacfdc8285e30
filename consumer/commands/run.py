"""`face2face run`: the service itself."""

from __future__ import annotations

import asyncio

import click

from consumer.caches import signing_root, weights_root
from consumer.local.console import exit_on_sigterm
from consumer.local.options import JSON_FLAG


@click.command()
@JSON_FLAG
def run(as_json: bool) -> None:  # noqa: ARG001 - read by `main`
    """Run the service: take requests from Kafka until SIGTERM.

    All settings come from the environment (docs/operations.md, "Settings"); brokers, store and
    its keys are enough to begin with. `face2face doctor` says what is missing. A SIGTERM lets
    running jobs end for F2F_DRAIN_S, and nothing is lost.
    """
    from consumer.settings.load import load

    exit_on_sigterm()
    settings = load()  # first: a setting that cannot work is said before anything is imported
    for root in (weights_root, signing_root):
        root()  # or every worker would end at its start, and be started again
    from consumer.app import run as serve

    asyncio.run(serve(settings))
