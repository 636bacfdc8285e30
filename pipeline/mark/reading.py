"""Reading labels back from a file: what is there, whether it holds, and which job made it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.video.reformatter import ColorRange
from av.video.stream import VideoStream

from pipeline.mark.credentials import read_credentials
from pipeline.mark.lattice import Plane
from pipeline.mark.payload import job_digest
from pipeline.mark.seeking import read_watermark
from pipeline.mark.words import read_words
from pipeline.reading.container import check_file, open_media
from pipeline.reading.picture_work import check_work
from pipeline.reading.trial import open_on_trial
from pipeline.types import Limits
from schemas.codes import Stage

_OURS = ("found", "verified", "broken")
_AS_IT_IS = ("yuv420p", "yuvj420p")


def read_labels(path: Path, anchors: str | None = None, jobs: Sequence[str] = ()) -> dict[str, Any]:
    """Every layer of a file.

    Args:
        anchors: PEM certificates that the signature may lead to.
        jobs: ids of jobs that may have made it; the watermark holds only a digest of one.

    Returns:
        `found` (a layer of ours is there, whole or broken), `job_id` (None when no layer that holds
        names one), `layers` by name, each with a `status`: found, verified, broken, foreign (of
        another producer) or absent.

    Raises:
        InputError: the file is no media.
    """
    words = read_words(_metadata(path))
    credentials = read_credentials(path, anchors)
    if words["status"] == "found" and credentials["status"] == "verified":
        words = _confirm(words, credentials)
    job = _job(credentials, words)
    watermark = _watermark(path, [*([job] if job else []), *jobs])
    digest, told = watermark.get("digest"), job_digest(str(words.get("job_id")))
    if words["status"] == "found" and digest is not None and digest != told:
        reason = f"the watermark's digest {digest} is that of another job"
        words, job = {**words, "status": "broken", "reason": reason}, None
    layers = {"container": words, "c2pa": credentials, "watermark": watermark}
    return {
        "found": any(_is_ours(layer) for layer in layers.values()),
        "job_id": job or watermark.get("job_id"),
        "layers": layers,
    }


def _is_ours(layer: dict[str, Any]) -> bool:
    if layer["status"] == "broken" and layer.get("producer") not in (None, "", "Face2Face"):
        return False
    return layer["status"] in _OURS


def _metadata(path: Path) -> dict[str, str]:
    limits = Limits(max_bytes=2**63)
    check_file(path, limits, Stage.PROBE)
    check_work(path)
    open_on_trial(path, limits, Stage.PROBE)
    with open_media(path, limits, Stage.PROBE) as container:
        return dict(container.metadata)


def _watermark(path: Path, jobs: Sequence[str]) -> dict[str, Any]:
    """Found with its digest, and with the job of that digest where it is among those named."""
    reading = read_watermark(_chroma(path), jobs)
    if reading is None:
        return {"status": "absent"}
    named = {"job_id": reading.job_id} if reading.job_id is not None else {}
    return {"status": "found", "digest": reading.digest, **named}


def _chroma(path: Path) -> Iterator[tuple[Plane, Plane]]:
    """U and V in display order, up to the first picture that does not decode.

    Calls and streams change their size in mid-film; all pictures get that of the first.
    """
    with open_media(path, Limits(max_bytes=2**63), Stage.DECODE) as container:
        stream = container.streams.best("video")
        if not isinstance(stream, VideoStream):
            return
        stream.thread_type = "AUTO"
        try:
            jpeg = stream.codec_context.name == "mjpeg"
            first: av.VideoFrame | None = None
            for frame in container.decode(stream):
                first = first or frame
                if (frame.width, frame.height) != (first.width, first.height):
                    frame = frame.reformat(first.width, first.height)
                yield _planes(frame, limited=jpeg or frame.format.is_rgb)
        except av.FFmpegError:
            return


def _planes(frame: av.VideoFrame, *, limited: bool) -> tuple[Plane, Plane]:
    """U and V with 8 bits.

    Args:
        limited: bring a full range back to the limited one that films have. RGB and JPEG, as
            pictures of a film are saved, know the full one alone, and the mark lies in levels.
    """
    if limited:
        frame = frame.reformat(format="yuv420p", dst_color_range=ColorRange.MPEG)
    elif frame.format.name not in _AS_IT_IS:  # else a full range would be made a limited one
        frame = frame.reformat(format="yuv420p")
    height, width = (frame.height + 1) // 2, (frame.width + 1) // 2
    u, v = (
        np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)[:height, :width]
        for plane in frame.planes[1:3]
    )
    return u, v


def _confirm(words: dict[str, Any], credentials: dict[str, Any]) -> dict[str, Any]:
    """The signature covers the container's metadata: what it says is then verified, too."""
    if words.get("job_id") != credentials.get("job_id"):
        reason = f"the signed manifest names job {credentials.get('job_id')!r}"
        return {**words, "status": "broken", "reason": reason}
    return {**words, "status": "verified"}


def _job(credentials: dict[str, Any], words: dict[str, Any]) -> str | None:
    """The job by the strongest layer that holds."""
    if credentials["status"] == "verified" and credentials.get("job_id"):
        return str(credentials["job_id"])
    if words["status"] in ("found", "verified"):
        return words.get("job_id")
    return None
