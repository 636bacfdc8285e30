"""What health and readiness of the service are answered from (`consumer.http.health`)."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

from consumer.kafka.control import ControlReader
from consumer.kafka.lag import LagWatch
from consumer.kafka.publisher import Publisher
from consumer.kafka.subscriber import Intake
from consumer.processing import Processing

POLL_AGE_S = 120.0
"""A loop that turns every half second, and has not for this long, will not turn again."""
LOCKED_OUT_S = 30.0
"""After so long without a login, which worked before, a new process may have a new password."""
VERSION = version("face2face")


class State:
    """How far the service has come, and its parts as they are there."""

    def __init__(self, group: str) -> None:
        self.group = group
        self.phase = "starting"
        self.processing: Processing | None = None
        self.intake: Intake | None = None
        self.publisher: Publisher | None = None
        self.control: ControlReader | None = None
        self.brokers: LagWatch | None = None

    def live(self) -> str | None:
        """Nothing outside makes a restart worth it but a password that was changed meanwhile."""
        if self.intake is not None and self.intake.ended:
            return "the poll loop has ended"
        if self.intake is not None and self.phase in ("running", "draining"):
            pump = self.intake.pump
            if pump.member and pump.polled_s > POLL_AGE_S:
                return f"the poll loop has not turned for {pump.polled_s:.0f} s"
        if self.brokers is not None and self.brokers.locked_out_s > LOCKED_OUT_S:
            if self.processing is not None and self.processing.renders:
                return None  # its outcome can be recorded, and is announced after the restart
            refused = f"the brokers do not answer: {self.brokers.trouble}"
            return f"{refused}; this process has the password that it began with"
        return None

    def ready(self) -> str | None:
        """Why no request is taken now."""
        if self.intake is None or self.processing is None or self.phase != "running":
            why = self.publisher.unconnected if self.publisher is not None else None
            return self.phase if why is None else f"{self.phase}: {why}"
        if not self.intake.pump.member:
            return "not a member of the consumer group"
        if self.brokers is not None and self.brokers.trouble is not None:
            return f"the brokers do not answer: {self.brokers.trouble}"
        if missing := self.intake.missing:
            return f"topics are missing: {', '.join(missing)}; run `face2face topics apply`"
        if self.intake.pump.failing is not None:
            return f"the topics cannot be read: {self.intake.pump.failing}"
        if self.publisher is not None and self.publisher.trouble is not None:
            return f"outcomes cannot be announced: {self.publisher.trouble}"
        if self.control is not None and self.control.trouble is not None:
            return f"cancels cannot be heard: {self.control.trouble}"
        return self.processing.why_not_ready()

    def facts(self) -> dict[str, Any]:
        """Everything else."""
        answer: dict[str, Any] = {"version": VERSION, "phase": self.phase, "draining": False}
        if self.intake is not None:
            answer["kafka"] = {"group": self.group} | self.intake.pump.facts()
            answer["draining"] = self.phase == "draining"
        if self.processing is not None:
            answer |= self.processing.health()
        return answer
