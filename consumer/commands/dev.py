"""`face2face dev`: embedded broker, store, the real service and its gateway, until Ctrl-C."""

from __future__ import annotations

import tempfile
from pathlib import Path

import click

from consumer.commands.local import check_faces
from consumer.local.console import (
    CommandError,
    broker_errors,
    embedded_errors,
    emit,
    program,
    say,
    stoppable,
)
from consumer.local.options import JSON_FLAG
from consumer.local.playground import Playground, free_port
from consumer.settings.load import load
from schemas.codes import ErrorCode, Stage

HTTP_PORT = 8385


@click.command()
@click.option(
    "--kafka",
    default=None,
    metavar="HOST:PORT",
    help="a broker of yours without passwords, not the embedded one; for Java and kafka-python 3",
)
@JSON_FLAG
def dev(kafka: str | None, as_json: bool) -> None:
    """Start broker, store, service and gateway as a playground, until Ctrl-C or SIGTERM.

    When the service has joined its group, says how any Kafka, S3 or HTTP client reaches them; with
    --json as one object: {"kafka": "host:port", "s3": {"endpoint", "access_key", "secret_key",
    "bucket"}, "gateway": "http://host:port"}. Everything is in memory and gone at the end.
    Here, and only here, inputs over http(s) from this machine are taken.

    The embedded broker serves most clients, but not Apache's own for Java and not kafka-python 3:
    give those a real broker with --kafka. Its topics are made; they and their records stay.
    """
    try:
        if load().engine != "duix":  # whose container looks for faces itself
            check_faces()
    except CommandError as missing:
        say(f"warning: {missing}")
    with (
        stoppable(),
        broker_errors(),
        embedded_errors(),
        tempfile.TemporaryDirectory(prefix="face2face-dev-") as folder,
    ):
        place = Playground(
            Path(folder),
            gateway_port=free_port(HTTP_PORT),
            kafka=kafka,
            on_step=lambda part: say(f"starting {part} …"),
            on_wait=say,
        )
        with place:
            _ready(place, kafka is None, as_json)
            code = place.wait()
            raise CommandError.of(
                ErrorCode.INTERNAL,
                Stage.ADMIT,
                f"the service or its gateway ended with code {code}:\n{place.log_tail()}",
            )


def _ready(place: Playground, embedded: bool, as_json: bool) -> None:
    s3 = place.s3
    if as_json:
        emit(
            {
                "kafka": place.kafka.servers,
                "s3": {
                    "endpoint": s3.endpoint,
                    "access_key": s3.access_key,
                    "secret_key": s3.secret_key,
                    "bucket": s3.bucket,
                },
                "gateway": place.gateway,
            }
        )
    topics = place.settings.topics
    say(f"\nready. Page: {place.gateway}   HTTP: {place.gateway}/docs")
    say(f"Health: {place.health}/health   log: {place.log}\n")
    say("in another shell:\n")
    for name, value in place.env.items():
        say(f"  export {name}={value}")
    say(f"  {program()} submit --audio speech.wav --video face.mp4 -o out.mp4\n")
    most = (
        "most Kafka clients (Java's and kafka-python 3 need --kafka)"
        if embedded
        else "any Kafka client"
    )
    say(f"or, from {most}, to {topics.requests}:")
    say('  {"audio_url": "s3://face2face/…", "video_url": "s3://face2face/…"}')
    say(f"or over HTTP to {place.gateway}/api/generate_video, with the same JSON; here alone")
    say("http://127.0.0.1:… and http://localhost:… are inputs, too.")
    say(f"Listen to {topics.progress}, {topics.completed} and {topics.failed}.\n")
    say("Ctrl-C ends everything.")
