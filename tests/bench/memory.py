"""Peak resident memory of a long job over that of a short one, each in a process of its own."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tests.bench import clips

_STEP_S = 0.02
"""Between two looks at a render's processes."""


@dataclass(frozen=True, slots=True)
class Peaks:
    """Of one render, bytes."""

    render: int
    """Largest resident set of its own process, by the kernel's account."""
    together: int
    """With what the processes that open and read files for it have of their own, as far as was
    seen at one time; pages of libraries are the render's, too."""
    opener: int
    """The most that one of those has of its own."""


def peaks_of(audio: Path, video: Path, output: Path) -> Peaks:
    """Render in a fresh process and watch its memory.

    Raises:
        RuntimeError: the render failed.
    """
    command = [str(Path(sys.executable).parent / "face2face"), "render", "--json"]
    command += ["--audio", str(audio), "--video", str(video), "-o", str(output)]
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    together = opener = 0
    while True:
        ended, status, usage = os.wait4(child.pid, os.WNOHANG)
        if ended:
            break
        others = [_own(pid) for pid in _children(child.pid)]
        together = max(together, _resident(child.pid) + sum(others))
        opener = max(opener, *others, 0)
        time.sleep(_STEP_S)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode != 0:
        raise RuntimeError(f"render of {audio.name} on {video.name} ended with {child.returncode}")
    return Peaks(usage.ru_maxrss * 1024, together, opener)


def _children(pid: int) -> list[int]:
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):
            found += map(int, task.read_text().split())
    return found


def _own(pid: int) -> int:
    """Bytes now that no other process has (proc(5), smaps_rollup); 0 of a process that is gone."""
    with suppress(OSError):
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        return sum(1024 * int(line.split()[1]) for line in lines if line.startswith("Private_"))
    return 0


def _resident(pid: int) -> int:
    """Bytes now; 0 of a process that is gone."""
    with suppress(OSError, IndexError):
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        return pages * resource.getpagesize()
    return 0


def memory(
    short_s: float,
    long_s: float,
    long_video: bool = False,
    lines: int = 720,
    talking: bool = False,
) -> list[str]:
    """A line with both peaks and their ratio; the reference is as long as the speech if asked."""
    with tempfile.TemporaryDirectory(prefix="f2f-bench-") as name:
        folder = Path(name)
        peaks = []
        for label, seconds in (("short", short_s), ("long", long_s)):
            length = seconds if long_video else 10.0
            source = clips.talking() if talking else clips.reference()
            video = clips.make_720p25(source, folder / f"{label}.mp4", length, lines=lines)
            if long_video:
                video = clips.repeat(video, folder / f"{label}-long.mp4", seconds)
            audio = clips.cut_speech(clips.speech(), folder / f"{label}.wav", seconds)
            peaks.append(peaks_of(audio, video, folder / f"{label}-out.mp4"))
    kind = "reference as long as the speech" if long_video else "reference of 10 s"
    return [
        f"peak memory, {kind}: {short_s:.0f} s {peaks[0].render / 1e6:.0f} MB,"
        f" {long_s:.0f} s {peaks[1].render / 1e6:.0f} MB,"
        f" ratio {peaks[1].render / peaks[0].render:.3f}",
        "with the process that opens files: "
        + ", ".join(f"{p.together / 1e6:.0f} MB ({p.opener / 1e6:.0f} of it)" for p in peaks),
    ]
