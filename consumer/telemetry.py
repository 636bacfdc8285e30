"""Traces over OTLP/HTTP when OTEL_EXPORTER_OTLP_ENDPOINT is set; nothing at all otherwise.

    gateway ── request ──> Kafka ──> process ─┬─ fetch
      (W3C traceparent in the headers)        ├─ render ── track, generate, encode, …
                                              ├─ store
                                              └─ announce ──> completed, failed

OpenTelemetry is imported only when it is used, because it takes longer to import than the service
has to join its group. A replay begins a trace of its own and links to the one that it repeats.
Source: W3C Trace Context 1; OpenTelemetry, "Trace semantic conventions for messaging".
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from typing import Any, Literal

import structlog

from consumer.settings import Settings

EXPORT_TIMEOUT_S = 5
FLUSH_MS = 2000
Kind = Literal["internal", "consumer", "producer"]
log = structlog.get_logger(__name__)


class Span:
    """A span, or the nothing that stands for one while no traces are sent."""

    def __init__(self, inner: Any = None) -> None:
        self._inner = inner

    @property
    def traceparent(self) -> str | None:
        """The W3C header that makes others continue here; None without traces."""
        if self._inner is None:
            return None
        context = self._inner.get_span_context()
        return f"00-{context.trace_id:032x}-{context.span_id:016x}-{int(context.trace_flags):02x}"

    def set(self, **attributes: str | int | float | bool | None) -> None:
        """Add attributes, as `f2f.<name>`; None is left out."""
        if self._inner is not None:
            self._inner.set_attributes(_named(attributes))

    def fail(self, reason: str) -> None:
        """Mark it as failed, with a stable code and no more: messages may hold names."""
        if self._inner is not None:
            from opentelemetry.trace import StatusCode

            self._inner.set_status(StatusCode.ERROR, reason)


_NOTHING = Span()


class _Traces:
    """The provider of this process, between `start` and `stop`."""

    def __init__(self, endpoint: str, service: str, instance: str) -> None:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor

        resource = Resource.create(
            {
                "service.name": service,
                "service.version": version("face2face"),
                "service.instance.id": instance,
            }
        )
        exporter = OTLPSpanExporter(
            endpoint=f"{endpoint.rstrip('/')}/v1/traces", timeout=EXPORT_TIMEOUT_S
        )
        self.provider = TracerProvider(resource=resource)
        self.provider.add_span_processor(BatchSpanProcessor(exporter))
        self.tracer = self.provider.get_tracer("face2face")


_traces: _Traces | None = None


def start(settings: Settings, service: str) -> None:
    """Send traces from now on, if the settings say where."""
    global _traces
    if settings.otlp_endpoint is None or _traces is not None:
        return
    try:
        _traces = _Traces(settings.otlp_endpoint, service, settings.replica)
    except ImportError as error:
        log.warning("no traces are sent: install face2face[otel]", missing=error.name)


def stop() -> None:
    """Send what is left, for a moment, and then no more."""
    global _traces
    traces, _traces = _traces, None
    if traces is not None:
        traces.provider.force_flush(FLUSH_MS)
        traces.provider.shutdown()


@contextmanager
def span(
    name: str,
    kind: Kind = "internal",
    *,
    parent: str | None = None,
    link: str | None = None,
    **attributes: str | int | float | bool | None,
) -> Iterator[Span]:
    """A span around a block; without a `parent` it is a child of the span around it, if any.

    A `consumer` span without a parent begins a trace of its own.

    Args:
        parent: a traceparent that is continued.
        link: a traceparent that is pointed at.
    """
    traces = _traces
    if traces is None:
        yield _NOTHING
        return
    from opentelemetry.trace import Link, SpanKind

    linked = _context(link)
    context = _parent(parent) if parent else None
    if context is None and kind == "consumer":
        context = _root()  # a record's trace is no part of what this task happens to be in
    with traces.tracer.start_as_current_span(
        name,
        context=context,
        kind=SpanKind[kind.upper()],
        attributes=_named(attributes),
        links=[Link(linked)] if linked is not None else None,
        record_exception=False,  # a traceback may quote what must not leave
    ) as inner:
        yield Span(inner)


def stages(timings_ms: dict[str, float], started_ns: int) -> None:
    """Spans of a render's stages, whose busy times its worker measured.

    Stages overlap; each is drawn from the render's start, as long as it was busy.

    Args:
        timings_ms: busy milliseconds by stage; `total` is left out.
        started_ns: start of the render, nanoseconds since the epoch.
    """
    traces = _traces
    if traces is None:
        return
    for stage, milliseconds in timings_ms.items():
        if stage != "total":
            inner = traces.tracer.start_span(stage, start_time=started_ns)
            inner.end(started_ns + round(milliseconds * 1e6))


def _named(attributes: dict[str, Any]) -> dict[str, Any]:
    return {f"f2f.{name}": value for name, value in attributes.items() if value is not None}


def _parent(traceparent: str) -> Any:
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    # Into an empty context: what this task happens to be in is not the record's parent.
    return TraceContextTextMapPropagator().extract({"traceparent": traceparent}, _root())


def _root() -> Any:
    from opentelemetry.context import Context

    return Context()


def _context(traceparent: str | None) -> Any:
    """The span context of a traceparent; None for none, and for one that is not valid."""
    if traceparent is None:
        return None
    from opentelemetry.trace import get_current_span

    context = get_current_span(_parent(traceparent)).get_span_context()
    return context if context.is_valid else None
