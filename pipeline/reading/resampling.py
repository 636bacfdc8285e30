"""Frames of sound in another format, and in one plane where PyAV cannot show their many."""

from __future__ import annotations

import av
from av import AudioFrame, AudioResampler

from pipeline.errors import InputUnreadable
from schemas.codes import Stage

_PLANES = 8
"""Pointers to planes that a frame has room for."""


def resampled(resampler: AudioResampler, frame: AudioFrame | None) -> list[AudioFrame]:
    """Frames in the resampler's format; None flushes.

    Raises:
        InputUnreadable: there is no way from the frame's format to it.
    """
    try:
        return resampler.resample(frame)
    except (av.FFmpegError, ValueError, MemoryError) as error:
        kind = "" if frame is None else f" ({frame.layout.name}, {frame.format.name})"
        raise InputUnreadable(
            f"sound of this layout{kind} cannot be mixed: {error}; save it as mono or stereo",
            stage=Stage.DECODE,
        ) from error


def in_one_plane(frame: AudioFrame) -> AudioFrame:
    """The frame itself; of eight and more planes, its samples in one.

    PyAV counts the planes of a frame up to a null pointer, and behind the eighth there is none: it
    reads beyond them, which ends the process.
    """
    if not frame.format.is_planar or frame.layout.nb_channels < _PLANES:
        return frame
    pack = AudioResampler(frame.format.packed.name)
    (packed,) = [*resampled(pack, frame), *resampled(pack, None)]
    packed.pts = frame.pts
    packed.time_base = frame.time_base
    return packed
