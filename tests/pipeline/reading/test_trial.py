"""Opening on trial: what would take minutes or gigabytes ends soon, and elsewhere."""

from __future__ import annotations

import os
import resource
import signal
import struct
from pathlib import Path

import pytest

from pipeline.errors import InputUnreadable, MediaLimitExceeded
from pipeline.reading import trial
from pipeline.reading.probe import probe_audio, probe_video
from pipeline.types import Limits
from schemas.codes import Stage
from schemas.request import RenderOptions
from tests.support.media import Clip, Tone, write_clip, write_sound

pytestmark = pytest.mark.timeout(300)

_TAGS = 300_000
"""Words that libavformat compares with each other for two minutes."""


def box(kind: bytes, *parts: bytes) -> bytes:
    body = b"".join(parts)
    return struct.pack(">I", 8 + len(body)) + kind + body


def tagged_mp3(path: Path, tags: int) -> Path:
    """A second of sound behind words in ID3 2.4."""
    words = (b"\x03K%d\0v" % n for n in range(tags))
    body = b"".join(b"TXXX" + syncsafe(len(word)) + b"\0\0" + word for word in words)
    sound = write_sound(path, Tone(1.0, codec="libmp3lame")).read_bytes()
    path.write_bytes(b"ID3\4\0\0" + syncsafe(len(body)) + body + sound)
    return path


def syncsafe(number: int) -> bytes:
    return bytes((number >> shift) & 127 for shift in (21, 14, 7, 0))


def edited_mp4(path: Path, frames: int, edits: int) -> Path:
    """A film that its edit list shows again and again."""
    whole = write_clip(path, Clip(width=32, height=32, frames=frames, gop=frames)).read_bytes()
    place = whole.index(b"elst") - 4
    old = int.from_bytes(whole[place : place + 4], "big")
    entry = struct.pack(">IiI", 2_000_000, 0, 0x10000)
    new = box(b"elst", struct.pack(">II", 0, edits), entry * edits)
    made = bytearray(whole[:place] + new + whole[place + old :])
    for kind in (b"edts", b"trak", b"moov"):
        at = whole.rindex(kind, 0, place) - 4
        made[at : at + 4] = struct.pack(
            ">I", int.from_bytes(made[at : at + 4], "big") + len(new) - old
        )
    path.write_bytes(made)
    return path


def test_tags_without_number_end_within_the_time_that_reading_may_take(tmp_path: Path) -> None:
    path = tagged_mp3(tmp_path / "tags.mp3", _TAGS)
    with pytest.raises(MediaLimitExceeded, match="longer than 1 s") as caught:
        probe_audio(path, Limits(probe_timeout_s=1))
    assert caught.value.detail["limit"] == "probe_timeout_s"


def test_some_tags_are_no_reason_to_refuse_a_sound(tmp_path: Path) -> None:
    assert probe_audio(tagged_mp3(tmp_path / "some.mp3", 500), Limits()).codec == "mp3"


def test_an_edit_list_that_takes_gigabytes_takes_them_from_nobody(tmp_path: Path) -> None:
    path = edited_mp4(tmp_path / "edits.mp4", 3000, 20_000)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(MediaLimitExceeded, match="bytes of memory") as caught:
        probe_video(path, Limits(), RenderOptions())
    assert caught.value.detail["limit"] == "opening_bytes"
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300_000  # KB


def test_what_is_no_media_is_told_by_who_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "no.mp4"
    path.write_bytes(b"nothing" * 1000)
    trial.open_on_trial(path, Limits(), Stage.PROBE)
    with pytest.raises(InputUnreadable, match="cannot be opened as media"):
        probe_video(path, Limits(), RenderOptions())


def test_one_process_opens_file_after_file_and_another_follows_one_that_was_killed(
    tmp_path: Path,
) -> None:
    path = write_sound(tmp_path / "a.wav", Tone(1.0))
    trial.open_on_trial(path, Limits(), Stage.PROBE)
    first = [process.pid for process in trial._POOL.idle]
    trial.open_on_trial(path, Limits(), Stage.PROBE)
    assert [process.pid for process in trial._POOL.idle] == first
    for pid in first:
        os.kill(pid, signal.SIGKILL)
    trial.open_on_trial(path, Limits(), Stage.PROBE)
    second = [process.pid for process in trial._POOL.idle]
    assert second
    assert set(second).isdisjoint(first)


def test_signals_to_the_whole_group_leave_a_running_job_its_process(tmp_path: Path) -> None:
    path = write_sound(tmp_path / "a.wav", Tone(1.0))
    trial.open_on_trial(path, Limits(), Stage.PROBE)
    first = [process.pid for process in trial._POOL.idle]
    for pid in first:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            os.kill(pid, number)
    trial.open_on_trial(path, Limits(), Stage.PROBE)
    assert [process.pid for process in trial._POOL.idle] == first
