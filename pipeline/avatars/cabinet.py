"""One job's view of the kept avatars: what is found is used, what is made is kept beside the work.

A file is written in a thread while frames are made, so that keeping costs no time on the way to
the output. Nothing here fails a job.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from pipeline.avatars.file import Stopped, read_parts, write_parts
from pipeline.avatars.key import Key, engine_key, track_key
from pipeline.avatars.parts import Parts, Unfit
from pipeline.engines.base import Engine, Reference
from pipeline.faces.track import FaceTrack
from pipeline.file_digest import sha256_of
from pipeline.stopwatch import Stopwatch
from pipeline.types import AvatarFolder, RenderSpec, VideoFacts
from schemas.render import AvatarFacts

_log = logging.getLogger(__name__)
Made = TypeVar("Made")


class Cabinet:
    """Finds and keeps the avatar of one job; without a folder it makes everything anew."""

    def __init__(self, spec: RenderSpec, video: VideoFacts, threads: int, watch: Stopwatch) -> None:
        self._spec = spec
        self._watch = watch
        self._video = video
        self._threads = threads
        self._stop = threading.Event()
        self._pool = ThreadPoolExecutor(1, "f2f-avatar")
        self._writes: list[Future[None]] = []
        self._seen = _stat(spec.video)
        self._track_key: Key | None = None
        self._content = ""
        self._files: list[str] = []
        self._frames = 0
        self._track_reused = self._reused = False

    @property
    def facts(self) -> AvatarFacts | None:
        """What was found and kept; None where nothing is ever kept."""
        if self._spec.avatars is None:
            return None
        return AvatarFacts(
            reused=self._reused,
            track_reused=self._track_reused,
            frames=self._frames,
            files=list(self._files),
        )

    def close(self, *, wait: bool) -> None:
        """End writing: when it is done, or now."""
        if not wait:
            self._stop.set()
        self._pool.shutdown(wait=True)
        for error in [write.exception() for write in self._writes]:
            if error is not None:
                _log.error("avatar not kept, by a defect", exc_info=error)

    def track(self, frames: int, make: Callable[[], FaceTrack]) -> FaceTrack:
        """The face track over the first `frames` grid frames: kept, or made by `make`.

        Both come through the same parts, so that a kept one makes the same pixels to the bit.

        Raises:
            PipelineError: what `make` raises.
        """
        folder, spec = self._spec.avatars, self._spec
        self._frames = frames
        sha256 = None
        if folder is not None:
            with self._watch.stage("avatar"):
                sha256 = spec.video_sha256 or _sha256(spec.video)
        if folder is None or sha256 is None:
            return FaceTrack.restored(make().parts())
        key = self._track_key = track_key(
            sha256, self._video, frames, spec.options, spec.limits, spec.device
        )

        def made() -> Parts:
            parts = make().parts()
            parts.facts["content"] = parts.digest()
            return parts

        def restored(parts: Parts) -> tuple[FaceTrack, str]:
            return FaceTrack.restored(parts), str(parts.facts["content"])

        (track, self._content), self._track_reused = self._kept(folder, key, restored, made)
        return track

    def avatar(
        self, engine: Engine[Any, Any], reference: Reference, make: Callable[[], Any]
    ) -> Any:
        """The engine's avatar of a tracked reference: kept, or made by `make`.

        Args:
            reference: its sound is not read.
            make: calls `engine.prepare`; raises what that raises.
        """
        folder = self._spec.avatars
        if folder is None or self._track_key is None:
            return engine.restore(engine.parts(make()), reference)
        key = engine_key(self._track_key, self._content, engine.facts, self._threads)
        restored = partial(engine.restore, reference=reference)
        avatar, self._reused = self._kept(folder, key, restored, lambda: engine.parts(make()))
        return avatar

    def _kept(
        self,
        folder: AvatarFolder,
        key: Key,
        restore: Callable[[Parts], Made],
        make: Callable[[], Parts],
    ) -> tuple[Made, bool]:
        """What the file of a key holds, or what is made and kept there; whether it was there."""
        parts = self._find(folder, key)
        if parts is not None:
            try:
                return restore(parts), True
            except (Unfit, KeyError) as error:
                _log.warning("avatar ignored: %s: %s", key.name, error)
        made = make()
        self._keep(folder, key, made)
        return restore(made), False

    def _find(self, folder: AvatarFolder, key: Key) -> Parts | None:
        with self._watch.stage("avatar"):
            found = read_parts(folder.path / key.name, key.facts)
        if found is not None:
            self._files.append(key.name)
        return found

    def _keep(self, folder: AvatarFolder, key: Key, parts: Parts) -> None:
        if parts.size > folder.max_bytes:
            _log.info("avatar not kept: %s has %d bytes", key.name, parts.size)
        elif self._seen is not None and _stat(self._spec.video) == self._seen:  # the same file
            self._writes.append(self._pool.submit(self._write, folder, key, parts))

    def _write(self, folder: AvatarFolder, key: Key, parts: Parts) -> None:
        path = folder.path / key.name
        try:
            write_parts(path, key.facts, parts, keep_free=folder.keep_free, stop=self._stop)
        except Stopped:
            return
        except OSError as error:
            _log.warning("avatar not kept: %s: %s", key.name, error)
            return
        self._files.append(key.name)


@contextmanager
def open_cabinet(
    spec: RenderSpec, video: VideoFacts, threads: int, watch: Stopwatch
) -> Iterator[Cabinet]:
    """A cabinet; leaving it waits for files that are being written, and leaves off on an error."""
    cabinet = Cabinet(spec, video, threads, watch)
    try:
        yield cabinet
    except BaseException:
        cabinet.close(wait=False)
        raise
    cabinet.close(wait=True)


def _stat(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns


def _sha256(path: Path) -> str | None:
    try:
        return sha256_of(path)
    except OSError:
        return None
