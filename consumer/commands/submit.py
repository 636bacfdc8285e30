"""`face2face submit`: upload speech and a reference, send a request, fetch the MP4."""

from __future__ import annotations

import asyncio
import uuid
from pathlib import Path
from typing import Any

import click
from pydantic import ValidationError

from consumer.local.console import CommandError, broker_errors, emit, say, stoppable
from consumer.local.files import check_output
from consumer.local.options import JSON_FLAG, Seconds, build_options, explain, render_options
from schemas.request import RenderRequest


@click.command()
@click.option("--audio", required=True, help="speech: a file, or s3://bucket/key")
@click.option("--video", required=True, help="reference: a file, or s3://bucket/key")
@render_options
@click.option("--job-id", default=None, help="1 to 128 of A-Za-z0-9._- [drawn]")
@click.option("--wait", is_flag=True, help="stay until the outcome, showing progress")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    default=None,
    help="where to put the MP4; implies --wait",
)
@click.option(
    "--timeout",
    type=Seconds(),
    default=1800.0,
    show_default=True,
    help="seconds to wait for the outcome, at least 1",
)
@JSON_FLAG
def submit(audio: str, video: str, as_json: bool, **given: Any) -> None:
    """Upload speech and a reference, send a request, fetch the MP4.

    Files go to inputs/ of the service's bucket; s3:// locations are sent as they are. Brokers and
    store come from the same settings as the service's. With --json: one object when the request
    is sent, one for each event with --wait, and, with -o, a last one that names the file.
    """
    options = build_options(given)
    output: Path | None = given["output"]
    if output is not None:
        check_output(output, audio, video)
    try:
        # Checked before anything is uploaded; the locations are put in afterwards.
        request = RenderRequest(
            audio_url="s3://bucket/key",
            video_url="s3://bucket/key",
            job_id=given["job_id"] or str(uuid.uuid4()),
            engine=given["engine"],
            options=options,
        )
    except ValidationError as error:
        raise CommandError.usage(explain(error)) from error
    wait = bool(given["wait"] or output)
    with stoppable(), broker_errors():
        asyncio.run(_submit(request, (audio, video), wait, output, given["timeout"], as_json))


async def _submit(
    request: RenderRequest,
    given: tuple[str, str],
    wait: bool,
    output: Path | None,
    timeout_s: float,
    as_json: bool,
) -> None:
    from consumer.kafka.client import connect
    from consumer.local.narrator import Narrator
    from consumer.local.open_store import opened
    from consumer.local.round_trip import bring, check, follow, provide
    from consumer.settings.load import load

    settings = load()
    for name in given:
        check(name)
    narrator = Narrator(as_json)
    with opened(settings) as storage:
        urls = [await provide(storage, settings.s3_bucket, name) for name in given]
        request = request.model_copy(update={"audio_url": urls[0], "video_url": urls[1]})
        async with connect(settings) as client:
            job_id = await client.submit(request)
            narrator.sent(job_id, settings.topics.requests, request)
            if not wait:
                return
            completed = await follow(client, job_id, timeout_s, narrator.event)
        if output is not None:
            await bring(storage, completed, output)
            if as_json:
                emit({"job_id": job_id, "mp4": str(output)})
            say(f"{output}: {completed.output.size} bytes")
