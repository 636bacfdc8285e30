"""A job on its way to its outcome: which render it is, and where that outcome is recorded."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from consumer.faults import Fault
from consumer.jobs import Job
from consumer.store.records import Keys
from consumer.work.avatars import Drawer
from consumer.workers.slots import EngineChoice
from schemas.codes import ErrorCode, Stage


@dataclass(slots=True)
class Case:
    """A job with the identity of its render."""

    job: Job
    render_id: str
    keys: Keys
    engine: EngineChoice
    fault: Fault | None = field(init=False)
    """Why it cannot work, known before it starts."""
    drawer: Drawer | None = None
    """What was kept of its reference, once it was rendered."""
    tried: Keys = field(init=False)
    """Where attempts put their MP4, and where nobody's outcome can have been missed."""

    def __post_init__(self) -> None:
        self.fault = self.engine.fault
        self.tried = self.keys

    def fall_back(self, bucket: str, fault: Fault) -> None:
        """Record the failure in the service's bucket, because the request's own cannot be used."""
        if self.keys.bucket == bucket:
            return
        output = f"output bucket {self.keys.bucket!r} cannot be used: {fault.what}"
        self.fault = Fault.of(fault.code, Stage.STORE, output)
        self.keys = replace(self.keys, bucket=bucket)

    def rename(self, bucket: str, fault: Fault) -> None:
        """Record the failure without the request's prefix, because the store refuses that name."""
        self.fault = fault
        self.keys = self.keys.plain(bucket)

    def move(self, bucket: str, fault: Fault) -> None:
        """Record the outcome in the service's bucket, where the request's place is the trouble."""
        if fault.code in (ErrorCode.STORE_DENIED, ErrorCode.STORE_FULL):
            self.fall_back(bucket, fault)
        if (fault.code, fault.error.stage) == (ErrorCode.INVALID_REQUEST, Stage.STORE):
            self.rename(bucket, fault)
