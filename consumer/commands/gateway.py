"""`face2face gateway`: the HTTP bridge, until SIGTERM."""

from __future__ import annotations

import sys

import click
import structlog

from consumer.core_dumps import forbid_core_dumps
from consumer.local.console import CommandError, emit, exiting_on_sigterm, say
from consumer.local.options import JSON_FLAG


@click.command()
@click.option("--host", default=None, help="address [F2F_GATEWAY_HOST]")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=None, help="0 picks one [F2F_GATEWAY_PORT]"
)
@JSON_FLAG
def gateway(host: str | None, port: int | None, as_json: bool) -> None:
    """Serve the HTTP bridge: POST /api/generate_video, /v1/jobs, a page at / and /docs.

    With --json: one object {"gateway": "http://host:port"} when it listens.
    """
    with exiting_on_sigterm():
        from consumer.http.gateway_server import Address, serve
        from consumer.settings.load import load

    forbid_core_dumps()
    settings = load()
    given = {"gateway_host": host, "gateway_port": port}
    settings = settings.model_copy(update={k: v for k, v in given.items() if v is not None})

    def ready(address: Address) -> None:
        log = structlog.get_logger("gateway")  # and no plain text between its lines
        log.info("gateway listens", url=address.url)
        if settings.allow_loopback:
            text = "inputs over http(s) from this machine are taken"
            log.warning(text, setting="F2F_ALLOW_LOOPBACK_INPUTS")
        if sys.stderr.isatty():
            say(f"gateway listens on {address.url} (page at /, documentation at /docs)")
        if as_json:
            emit({"gateway": address.url})

    try:
        serve(settings, ready)
    except OSError as error:
        raise CommandError.usage(
            f"cannot listen on {settings.gateway_host}:{settings.gateway_port}: {error.strerror}; "
            "another process may use the port: set F2F_GATEWAY_PORT"
        ) from error
