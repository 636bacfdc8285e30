"""Peak resident memory of a long job over that of a short one, each in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.bench import clips


def peak_bytes(audio: Path, video: Path, output: Path) -> int:
    """Render in a fresh process; its largest resident set, by the kernel's account."""
    command = [str(Path(sys.executable).parent / "face2face"), "render", "--json"]
    command += ["--audio", str(audio), "--video", str(video), "-o", str(output)]
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode != 0:
        raise RuntimeError(f"render of {audio.name} on {video.name} ended with {child.returncode}")
    return usage.ru_maxrss * 1024


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
            peaks.append(peak_bytes(audio, video, folder / f"{label}-out.mp4"))
    kind = "reference as long as the speech" if long_video else "reference of 10 s"
    return [
        f"peak memory, {kind}: {short_s:.0f} s {peaks[0] / 1e6:.0f} MB,"
        f" {long_s:.0f} s {peaks[1] / 1e6:.0f} MB, ratio {peaks[1] / peaks[0]:.3f}"
    ]
