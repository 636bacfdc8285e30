"""`face2face run`: the service itself."""

from __future__ import annotations

import asyncio

import click


@click.command()
@click.option("--json", "as_json", is_flag=True, help="errors as JSON on stdout")
def run(as_json: bool) -> None:  # noqa: ARG001 - read by `main`
    """Run the service: take requests from Kafka until SIGTERM.

    All settings come from the environment (README, "Settings").
    """
    from consumer import app
    from consumer.settings import load

    asyncio.run(app.run(load()))
