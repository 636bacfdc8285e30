"""Tells what happens to a job: one JSON object per event for scripts, or lines for people."""

from __future__ import annotations

import time
from typing import Any

from consumer.kafka.client import Event
from consumer.local.console import emit, tell
from schemas.events import Completed, Failed, Progress
from schemas.request import RenderRequest


class Narrator:
    """Speaks to stdout: one object per event with `--json`, else lines for people."""

    def __init__(self, as_json: bool) -> None:
        self._as_json = as_json
        self._began = time.monotonic()

    def sent(self, job_id: str, topic: str, request: RenderRequest) -> None:
        """The request is on its topic."""
        self._began = time.monotonic()
        value = request.model_dump(mode="json", exclude_defaults=True)
        if self._as_json:
            emit({"event": "sent", "topic": topic, "job_id": job_id, "data": value})
            return
        self._line("request", f"to {topic}, job {job_id}")
        self._detail("audio", request.audio_url)
        self._detail("video", request.video_url)

    def event(self, event: Event) -> None:
        """The service said something."""
        if self._as_json:
            emit(
                {
                    "event": event.kind,
                    "topic": event.topic,
                    "job_id": event.job_id,
                    "headers": dict(event.headers),
                    "data": dict(event.data),
                }
            )
        elif event.kind == "progress":
            self._progress(Progress.model_validate(event.data))
        elif event.kind == "failed":
            failed = Failed.model_validate(event.data)
            self._line("failed", f"{failed.error.code.value}: {failed.error.message}")
        else:
            self._completed(Completed.model_validate(event.data))

    def _progress(self, progress: Progress) -> None:
        filled = int(progress.percent / 5)
        done, total = progress.frames_done, progress.frames_total
        counted = f"  {done}/{total} frames" if total else ""
        again = f"  (attempt {progress.attempt})" if progress.attempt > 1 else ""
        self._line(
            "progress",
            f"{'█' * filled}{'·' * (20 - filled)} {progress.percent:3.0f} %  {progress.stage}"
            f"{counted}{again}",
        )

    def _completed(self, completed: Completed) -> None:
        media, engine = completed.media, completed.engine
        again = "  (announced again, nothing was rendered)" if completed.reused else ""
        self._line("completed", f"{completed.output.url}{again}")
        self._detail(
            "media",
            f"{media.width}x{media.height}, {media.frames} frames at {media.fps} fps, "
            f"{media.duration_s:.2f} s, {media.video_codec} + {media.audio_codec}",
        )
        self._detail("engine", f"{engine.name} {engine.version} on {engine.device}")
        self._detail("size", f"{completed.output.size} bytes, sha256 {completed.output.sha256}")
        self._detail("timings", _timings(completed.timings_ms))
        for span in completed.spans:
            text = f"{span.kind} in frames {span.start_frame} to {span.end_frame}"
            self._detail("passed", f"{text}: unchanged")
        for warning in completed.warnings:
            self._detail("warning", warning)

    def _line(self, what: str, text: str) -> None:
        tell(f"{time.monotonic() - self._began:6.1f} s  {what:<10} {text}")

    def _detail(self, what: str, text: Any) -> None:
        tell(f"{'':>20}{what:<8} {text}")


def _timings(timings_ms: dict[str, float]) -> str:
    parts = [f"{name} {value / 1000:.2f} s" for name, value in timings_ms.items()]
    return ", ".join(parts)
