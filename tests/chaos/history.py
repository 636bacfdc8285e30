"""The history checker: does what lies on the topics and in the bucket keep the promise?

For every record that the broker accepted there is exactly one outcome, recorded in one manifest,
announced by copies that carry one CloudEvents id; nothing partial is visible; nothing is left over;
no commit ever passed a record that had no outcome yet. It reads facts alone and uses nothing of the
service but its schemas.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

from pydantic import ValidationError

from schemas.events import Completed, Failed
from schemas.manifest import AttemptMarker, Manifest
from tests.chaos.commits import CLOCK_MS, early
from tests.chaos.copies import job_of, original_place
from tests.chaos.facts import History, Place, Rec


@dataclass
class Outcome:
    """All copies of the outcome of one render (or of one record that never was a job)."""

    job_id: str
    render_id: str | None
    kinds: set[str] = field(default_factory=set)
    ids: set[str] = field(default_factory=set)
    digests: set[str] = field(default_factory=set)
    completed: Completed | None = None
    failed: Failed | None = None
    copies: int = 0


def check(history: History) -> list[str]:
    """Every way in which the promise is broken, in words; empty when it is kept."""
    return list(_Checker(history).violations())


def outcomes(history: History) -> dict[tuple[str, str | None], Outcome]:
    """Outcomes by job and render, as announced."""
    return _Checker(history).outcomes


class _Checker:
    def __init__(self, history: History) -> None:
        self._history = history
        self._said: list[str] = []
        self.outcomes: dict[tuple[str, str | None], Outcome] = {}
        self._told_at: dict[str, list[int]] = defaultdict(list)
        for kind, records in (("completed", history.completed), ("failed", history.failed)):
            for record in records:
                self._hear(kind, record)
        for times in self._told_at.values():
            times.sort()
        lettered = {original_place(d): d.headers.get("f2f-job-id") for d in history.dead}
        self._jobs = {
            r.place: lettered.get(r.place) or job_of(r)
            for r in (*history.requests, *history.retries)
        }
        self._manifests = dict(self._read_manifests())

    def violations(self) -> Iterator[str]:
        yield from self._said
        yield from self._lost()
        yield from self._conflicts()
        yield from self._recorded()
        yield from self._orphans()
        yield from self._leases()
        yield from self._dead_letters()
        yield from self._visible()
        yield from self._rendered()
        yield from early(self._history, lambda r: self._told_at.get(self._jobs[r.place], []))

    # Reading

    def _hear(self, kind: str, record: Rec) -> None:
        event: Completed | Failed
        try:
            model = Completed if kind == "completed" else Failed
            event = model.model_validate_json(record.value or b"")
        except ValidationError as error:
            self._said.append(f"{record.place}: no {kind} event: {error.errors()[:1]}")
            return
        self._told_at[event.job_id].append(record.at_ms)
        key = (event.job_id, event.render_id)
        outcome = self.outcomes.setdefault(key, Outcome(*key))
        outcome.copies += 1
        outcome.kinds.add(kind)
        outcome.ids.add(record.headers.get("ce_id", "(none)"))
        if isinstance(event, Completed):
            outcome.digests.add(event.output.sha256)
            outcome.completed = event
        else:
            outcome.failed = event
        wanted = f"com.face2face.{kind}.v1"
        if record.headers.get("ce_type") != wanted or record.key != event.job_id.encode():
            self._said.append(f"{record.place}: its key or ce_type is not that of its job")

    def _read_manifests(self) -> Iterator[tuple[str, Manifest]]:
        for key, found in self._history.objects.items():
            if "results/" in key and key.endswith(".json"):
                try:
                    yield key, Manifest.model_validate_json(found.data or b"")
                except ValidationError:
                    self._said.append(f"object {key} is no manifest")

    # Outcomes

    def _lost(self) -> Iterator[str]:
        for record in self._history.requests:
            if not self._told_after(self._jobs[record.place], record.at_ms):
                yield f"lost: {record.place}, job {self._jobs[record.place]}, has no outcome"

    def _told_after(self, job_id: str, at_ms: int) -> bool:
        """True when an outcome of the job was announced at that time or later."""
        times = self._told_at.get(job_id, [])
        return bisect_right(times, at_ms - CLOCK_MS) < len(times)

    def _conflicts(self) -> Iterator[str]:
        renders: dict[tuple[str, int], set[str]] = defaultdict(set)
        for manifest in self._manifests.values():
            digest = manifest.request.model_dump_json(exclude={"metadata", "deadline", "consent"})
            renders[(manifest.job_id + digest, manifest.generation)].add(manifest.render_id)
        for (job, generation), ids in renders.items():
            if len(ids) > 1:
                yield f"conflict: generation {generation} of {job[:60]} has {len(ids)} manifests"
        for (job_id, render), outcome in self.outcomes.items():
            what = f"job {job_id}, render {render}"
            if len(outcome.kinds) > 1:
                yield f"conflict: {what} is both completed and failed"
            if len(outcome.ids) > 1:
                yield f"conflict: {what} has {len(outcome.ids)} event ids"
            if len(outcome.digests) > 1:
                yield f"conflict: {what} has {len(outcome.digests)} digests"

    # Objects

    def _recorded(self) -> Iterator[str]:
        by_render = {(m.job_id, m.render_id): m for m in self._manifests.values()}
        for (job_id, render), outcome in self.outcomes.items():
            if render is None:
                continue  # a record that never was a job has no manifest
            manifest = by_render.get((job_id, render))
            if manifest is None:
                yield f"unrecorded: job {job_id}, render {render} is announced without a manifest"
                continue
            if manifest.event_id not in outcome.ids or manifest.outcome not in outcome.kinds:
                yield f"conflict: the manifest of job {job_id} says something else than its event"
            if outcome.completed is not None:
                yield from self._bytes(outcome.completed, manifest)

    def _bytes(self, event: Completed, manifest: Manifest) -> Iterator[str]:
        found = self._history.objects.get(event.output.key)
        recorded = manifest.completed.output if manifest.completed else None
        if found is None:
            yield f"corrupt: job {event.job_id} is completed without an MP4"
        elif (found.size, found.sha256) != (event.output.size, event.output.sha256):
            yield f"corrupt: the MP4 of job {event.job_id} is not what its event says"
        elif recorded is None or (recorded.size, recorded.sha256) != (found.size, found.sha256):
            yield f"corrupt: the MP4 of job {event.job_id} is not what its manifest says"
        wanted = self._history.expected.get(event.job_id)
        if found is not None and wanted not in (None, found.sha256):
            yield f"corrupt: the MP4 of job {event.job_id} is not what its inputs make"

    def _orphans(self) -> Iterator[str]:
        recorded = {m.completed.output.key for m in self._manifests.values() if m.completed}
        for key in self._history.objects:
            if key.endswith(".mp4") and key not in recorded:
                yield f"orphan: {key} belongs to no completed manifest"
        told = {(o.job_id, o.render_id) for o in self.outcomes.values()}
        for key, manifest in self._manifests.items():
            if (manifest.job_id, manifest.render_id) not in told:
                yield f"silent: {key} was never announced"
        for key in self._history.uploads:
            yield f"orphan: a multipart upload of {key} was never ended"

    def _leases(self) -> Iterator[str]:
        """A lease that is still renewed after the end; what the dead left goes stale by itself."""
        for key, found in self._history.objects.items():
            if not key.startswith("attempts/") or key.endswith(".rendered.json"):
                continue
            try:
                marker = AttemptMarker.model_validate_json(found.data or b"")
            except ValidationError:
                if not key.startswith("attempts/.conditions/"):
                    yield f"object {key} is no attempt marker"
                continue
            lease = marker.lease
            if lease is None:
                continue
            age_s = self._history.now_ms / 1000 - lease.renewed_at.timestamp()
            if age_s < lease.ttl_s:
                yield f"held: the lease of job {marker.job_id} is {age_s:.1f} s old"

    def _visible(self) -> Iterator[str]:
        """No object of a result was ever seen in another state than its last one."""
        for key, states in self._history.seen.items():
            if len(states) > 1:
                yield f"partial: {key} was seen in {len(states)} states: {sorted(states)[:3]}"
            found = self._history.objects.get(key)
            if found is None or {size for size, _ in states} != {found.size}:
                yield f"partial: {key} was seen with another size than it has"

    # Dead letters

    def _dead_letters(self) -> Iterator[str]:
        places = {r.place: r for r in self._history.requests}
        lettered = set()
        for letter in self._history.dead:
            head = letter.headers
            lettered.add(head.get("f2f-job-id"))
            original = places.get(original_place(letter) or Place("", 0, 0))
            if original is None:
                yield f"dead letter {letter.place} names no request that exists"
            elif letter.value != original.value and not {"f2f-truncated", "f2f-unread"} & set(head):
                yield f"dead letter {letter.place} does not carry the bytes of {original.place}"
            if "f2f-error-code" not in head:
                yield f"dead letter {letter.place} does not say why"
        for outcome in self.outcomes.values():
            failed = outcome.failed
            wanted = failed is not None and (failed.error.retryable or failed.render_id is None)
            if wanted and outcome.job_id not in lettered:
                yield f"job {outcome.job_id} failed without a dead letter"

    # Work

    def _rendered(self) -> Iterator[str]:
        starts = self._history.starts
        again = sum(count - 1 for count in starts.values())
        allowed = self._history.kills * self._history.slots
        if again > allowed:
            yield f"rendered again: {again} renders, {allowed} kills × slots allow so many"
