"""`face2face demo`: the main job end to end, with nothing installed but this package."""

from __future__ import annotations

import asyncio
import shlex
import tempfile
import time
from pathlib import Path

import click

from consumer.commands.local import check_faces
from consumer.local.console import broker_errors, embedded_errors, emit, program, say, stoppable
from consumer.local.files import check_output
from consumer.local.options import JSON_FLAG
from consumer.local.playground import Playground
from consumer.settings.load import load
from schemas.request import RenderRequest

ASSETS = Path(__file__).parents[1] / "demo_assets"
VIDEO, AUDIO = ASSETS / "reference.mp4", ASSETS / "speech.flac"
TIMEOUT_S = 600.0


@click.command()
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("out/demo.mp4"),
    show_default=True,
    help="where to put the MP4",
)
@JSON_FLAG
def demo(output: Path, as_json: bool) -> None:
    """Show the main job end to end on an embedded broker and store.

    Starts a Kafka broker and an S3 store on loopback and the real service as a child process,
    uploads a small reference and speech, sends one request, and prints every event until the MP4
    is there. Everything but the MP4 is gone afterwards. With --json: one object per event, and a
    last one {"demo": "ok", "mp4": PATH, "job_id": ID}.
    """
    check_output(output, AUDIO, VIDEO)
    if load().engine != "duix":
        check_faces()
    with (
        stoppable(),
        broker_errors(),
        embedded_errors(),
        tempfile.TemporaryDirectory(prefix="face2face-demo-") as folder,
    ):
        began = time.monotonic()
        place = Playground(Path(folder), on_step=_say_step, on_wait=say)
        with place:
            say(f"all up after {time.monotonic() - began:.1f} s\n")
            job_id = asyncio.run(_one_job(place, output, as_json))
        _farewell(output, job_id, time.monotonic() - began, as_json)


async def _one_job(place: Playground, output: Path, as_json: bool) -> str:
    from consumer.kafka.client import connect
    from consumer.local.narrator import Narrator
    from consumer.local.round_trip import bring, follow, provide
    from consumer.store.storage import Storage

    settings = place.settings
    storage = Storage(settings)
    narrator = Narrator(as_json)
    try:
        audio = await provide(storage, settings.s3_bucket, str(AUDIO))
        video = await provide(storage, settings.s3_bucket, str(VIDEO))
        request = RenderRequest(audio_url=audio, video_url=video)
        async with connect(settings) as client:
            job_id = await client.submit(request)
            narrator.sent(job_id, settings.topics.requests, request)
            completed = await follow(client, job_id, TIMEOUT_S, narrator.event)
        await bring(storage, completed, output, kept=False)
        return job_id
    finally:
        storage.close()


def _say_step(part: str) -> None:
    text = {
        "broker": "Kafka broker (librdkafka's mock cluster)",
        "store": "S3 store (moto)",
        "service": "service (face2face run): joins its group, starts its worker",
    }
    say(f"starting {text[part]} …")


def _farewell(output: Path, job_id: str, took_s: float, as_json: bool) -> None:
    path = output.resolve()
    if as_json:
        emit({"demo": "ok", "mp4": str(path), "job_id": job_id})
    say(f"\nthe MP4: {path}  ({took_s:.0f} s in all)")
    say("look at it with any player, or as a contact sheet with measured lip movements:")
    made, audio = shlex.quote(str(output)), shlex.quote(str(AUDIO))
    say(f"  {program()} inspect {made} --audio {audio}")
    say(f"the same on a broker and a store that stay, for more jobs: {program()} dev")
