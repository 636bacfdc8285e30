"""Where the objects of a render lie, and how its outcome is put into words. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Literal

from consumer.jobs import Job
from consumer.remote.download import Whole
from schemas.events import Completed, Failed, InputFacts, OutputFacts
from schemas.ids import event_id
from schemas.manifest import Manifest
from schemas.render import ErrorFacts, RenderReport

Side = Literal["audio", "video"]


def folder_of(job_id: str) -> str:
    """The segment of a job in keys: its id may be "." or "..", which no segment may be.

    No other id makes the same segment: none holds a bracket.
    """
    return job_id if job_id.strip(".") else f"({job_id})"


@dataclass(frozen=True, slots=True)
class Keys:
    """The objects of one render."""

    bucket: str
    """Of the result."""
    mp4: str
    manifest: str
    marker: str
    """In the service's own bucket, as is `draft`."""
    draft: str
    """The completed event before its MP4 is up: whoever finds both need not render again."""

    @classmethod
    def of(cls, job: Job, render_id: str, default_bucket: str, wish: str = "") -> Keys:
        """Keys by the request's output target.

        Args:
            wish: `schemas.ids.wish_id`. The marker bears it, so that replicas of two engine
                revisions, which an upgrade has at the same time, work on a request one at a time.
        """
        folder = folder_of(job.job_id)
        output = job.request.output
        result = f"{output.prefix}results/{folder}/{render_id}"
        marker = f"attempts/{folder}/{wish or render_id}"
        return cls(
            bucket=output.bucket or default_bucket,
            mp4=f"{result}.mp4",
            manifest=f"{result}.json",
            marker=f"{marker}.json",
            draft=f"{marker}.rendered.json",
        )

    @property
    def shelf(self) -> str:
        """A finished MP4 whose bucket was full, in the service's own."""
        return f"{self.draft.removesuffix('.json')}.mp4"

    def plain(self, bucket: str) -> Keys:
        """The same in the service's bucket and without a prefix, where the request's name fails."""
        mp4, manifest = ("/".join(key.split("/")[-3:]) for key in (self.mp4, self.manifest))
        return replace(self, bucket=bucket, mp4=mp4, manifest=manifest)

    def manifest_of(self, render_id: str) -> str:
        """Where the manifest of another render of the same job lies."""
        return f"{self.manifest.rpartition('/')[0]}/{render_id}.json"


def completed(
    job: Job,
    render_id: str,
    keys: Keys,
    stored: Whole,
    report: RenderReport,
    *,
    inputs: dict[Side, InputFacts],
    attempt: int,
) -> Completed:
    """The completed event, without a download URL: that is made anew for each copy."""
    return Completed(
        job_id=job.job_id,
        render_id=render_id,
        output=OutputFacts(
            url=f"s3://{keys.bucket}/{keys.mp4}",
            bucket=keys.bucket,
            key=keys.mp4,
            size=stored.size,
            sha256=stored.sha256,
            etag=stored.etag,
        ),
        media=report.media,
        engine=report.engine,
        timings_ms=report.timings_ms,
        quality=report.quality,
        spans=report.spans,
        warnings=report.warnings,
        inputs=inputs,
        attempt=attempt,
        labels=report.labels,
        avatar=report.avatar,
        metadata=job.request.metadata,
        consent=job.request.consent,
        finished_at=datetime.now(UTC),
    )


def failed(job: Job, render_id: str, error: ErrorFacts, attempt: int, max_attempts: int) -> Failed:
    """The failed event."""
    return Failed(
        job_id=job.job_id,
        render_id=render_id,
        error=error,
        attempt=attempt,
        max_attempts=max_attempts,
        metadata=job.request.metadata,
        consent=job.request.consent,
        failed_at=datetime.now(UTC),
    )


def manifest(job: Job, render_id: str, outcome: Completed | Failed) -> Manifest:
    """The one record of an outcome; its event id is the same whoever writes it."""
    done = isinstance(outcome, Completed)
    kind: Literal["completed", "failed"] = "completed" if done else "failed"
    return Manifest(
        job_id=job.job_id,
        render_id=render_id,
        event_id=event_id(job.job_id, render_id, kind),
        outcome=kind,
        completed=outcome if isinstance(outcome, Completed) else None,
        failed=outcome if isinstance(outcome, Failed) else None,
        request=job.request,
        generation=job.generation,
        created_at=datetime.now(UTC),
    )
