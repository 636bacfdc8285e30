"""The engine: puts files into the shared folder, has them rendered, takes the result out again."""

from __future__ import annotations

import contextlib
import shutil
import time
import uuid
import wave
from pathlib import Path

from pipeline.engines.duix.client import DuixClient, Patience
from pipeline.engines.duix.contract import TEMP
from pipeline.engines.duix.place import Place, place
from pipeline.engines.whole import WholeJob
from pipeline.errors import EngineUnavailable
from pipeline.reading.audio import load_speech
from pipeline.reading.decode import FrameReader
from pipeline.timeline import Timeline
from pipeline.types import OnTick, Tick
from pipeline.writing.coding import Coding
from pipeline.writing.encode import Encoder
from schemas.codes import Stage
from schemas.render import EngineFacts
from schemas.request import Loop

NAME = "duix"
REVISION = "duix-http-5"
PREFIX = "f2f-"
CRF = 12
"""Of the reference that the container reads: it is an intermediate, so hardly anything is lost."""
OLD_S = 6 * 3600.0
"""Age at which files of ours in the shared folder belong to nobody: a task cannot be cancelled."""
RATE = 16_000


class DuixEngine:
    """A `WholeEngine`."""

    def __init__(self, place: Place, patience: Patience | None = None) -> None:
        self._place = place
        self._temp = place.data / TEMP
        self._client = DuixClient(place.url, self._temp, patience)

    @property
    def facts(self) -> EngineFacts:
        """Its weights are the container's own business."""
        return EngineFacts(name=NAME, version="1", revision=REVISION, device=self._place.url)

    def render_whole(self, job: WholeJob, on_tick: OnTick) -> Path:
        """Have the container render; see `WholeEngine.render_whole`."""
        code = f"{PREFIX}{uuid.uuid4().hex}"
        audio, video = f"{code}.wav", f"{code}.mp4"
        try:
            self._temp.mkdir(parents=True, exist_ok=True)
            self._sweep()
        except OSError as error:
            raise EngineUnavailable(
                f"folder {str(self._temp)!r}, which the Duix service shares, cannot be used: "
                f"{error.strerror}",
                stage=Stage.GENERATE,
            ) from error
        try:
            _write_speech(job, self._temp / audio)
            _write_reference(job, self._temp / video, on_tick)
            made = self._client.run(
                code, (audio, video), job.options, float(job.audio.duration), on_tick
            )
            taken = job.scratch / "duix.mp4"
            shutil.copyfile(made, taken)
            return taken
        finally:
            self._remove(code)

    def _remove(self, code: str) -> None:
        for path in self._temp.glob(f"{code}*"):
            with contextlib.suppress(OSError):
                path.unlink()

    def _sweep(self) -> None:
        oldest = time.time() - OLD_S
        for path in self._temp.glob(f"{PREFIX}*"):
            with contextlib.suppress(OSError):
                if path.lstat().st_mtime < oldest:
                    path.unlink()


def load_engine(root: Path, device: str, threads: int) -> DuixEngine:
    """The engine of the configured place; none of the arguments concerns it."""
    del root, device, threads
    return DuixEngine(place())


def _write_speech(job: WholeJob, path: Path) -> None:
    """16 kHz mono PCM, which the container needs no conversion for."""
    samples = load_speech(job.audio.path, job.limits).samples.clamp(-1, 1)
    with wave.open(str(path), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(RATE)
        out.writeframes((samples * 32767).short().numpy().tobytes())
    path.chmod(0o644)  # the container may run as another user


def _write_reference(job: WholeJob, path: Path, on_tick: OnTick) -> None:
    """H.264, 8 bit, upright, constant rate: what the container's own client makes first.

    Only as much as the speech needs; a held end is written out, because the container can only
    go back and forth or begin again.
    """
    video, hold = job.video, job.options.loop is Loop.HOLD
    clock = Timeline.fit(job.audio.duration, video.fps, video.frames, Loop.HOLD)
    frames = clock.frames if hold else clock.used
    reader = FrameReader(video, max(1, job.threads // 2), job.scratch)
    with Encoder(
        path,
        Coding(video.width, video.height, video.fps, video.color, CRF),
        audio=job.audio,
        frames=frames,
        metadata={},
    ) as encoder:
        for n, frame in enumerate(reader.read(clock.source(n) for n in range(frames))):
            encoder.write(frame)
            on_tick(Tick("prepare", n + 1, frames))
    path.chmod(0o644)
