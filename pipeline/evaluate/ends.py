"""Where sound and picture begin and end in a file."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import cast

from av import AudioFrame, FFmpegError
from av.audio.stream import AudioStream

from pipeline.evaluate.evidence import Evidence
from pipeline.evaluate.ledger import Figures
from pipeline.quality.watch import LIMITS
from pipeline.reading.container import only, open_media, packets
from pipeline.reading.scan import scan_pictures, video_stream
from schemas.codes import Stage

Span = tuple[Fraction, Fraction]
"""Begin and end, seconds."""


def measure_ends(evidence: Evidence, figures: Figures) -> None:
    """Write down how far sound and picture are apart at both ends."""
    path = evidence.sources.output
    picture, sound = picture_span(path), sound_span(path)
    if picture is None or sound is None:
        figures.leave_out("the output has no sound", "start_difference_ms", "end_difference_ms")
    else:
        figures.put("start_difference_ms", 1000 * float(sound[0] - picture[0]))
        figures.put("end_difference_ms", 1000 * float(sound[1] - picture[1]))
    if evidence.sources.audio is None or evidence.speech is None:
        figures.leave_out("needs --audio", "speech_difference_ms")
        return
    late = evidence.output.video.duration - evidence.speech.duration
    figures.put("speech_difference_ms", 1000 * float(late))


def picture_span(path: Path) -> Span | None:
    """Of the pictures, by their time stamps."""
    with open_media(path, LIMITS, Stage.PROBE) as container:
        stream = video_stream(container)
        table = scan_pictures(container, stream, LIMITS, None) if stream is not None else None
    if table is None:
        return None
    return int(table.pts[0]) * table.time_base, table.end * table.time_base


def sound_span(path: Path) -> Span | None:
    """Of the samples that a player hears.

    Priming is cut off by the decoder; padding of the last packet by that packet's own duration.
    """
    begin: Fraction | None = None
    end = told = Fraction(0)
    with open_media(path, LIMITS, Stage.PROBE) as container:
        stream = container.streams.best("audio")
        if not isinstance(stream, AudioStream):
            return None
        only(container, stream)
        for packet in packets(container, stream, None):
            if packet.pts is not None and packet.duration and packet.time_base is not None:
                told = max(told, (packet.pts + packet.duration) * packet.time_base)
            try:
                frames = cast(list[AudioFrame], packet.decode())
            except (FFmpegError, OSError):
                continue
            for frame in frames:
                if frame.pts is None or frame.time_base is None or not frame.samples:
                    continue
                start = frame.pts * frame.time_base
                begin = start if begin is None else min(begin, start)
                end = max(end, start + Fraction(frame.samples, frame.sample_rate))
    return None if begin is None else (begin, min(end, told) if told else end)
