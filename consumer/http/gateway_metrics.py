"""Metrics of the gateway, in a registry of their own: it must not look like a worker."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

from consumer.metrics import LOG_LINES_DROPPED, STORE_ERRORS

REGISTRY = CollectorRegistry()
ProcessCollector(registry=REGISTRY)
REGISTRY.register(STORE_ERRORS)
REGISTRY.register(LOG_LINES_DROPPED)

REQUESTS = Counter(
    "face2face_gateway_requests", "Calls", ["route", "method", "status"], registry=REGISTRY
)
REQUEST_SECONDS = Histogram(
    "face2face_gateway_request_seconds",
    "From the head of a call to the head of its answer",
    ["route"],
    buckets=(0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60, 300, 1800),
    registry=REGISTRY,
)
UPLOADED = Counter("face2face_gateway_uploaded_bytes", "Bytes of uploads", registry=REGISTRY)
FETCHED = Counter(
    "face2face_gateway_fetched_bytes", "Bytes of remote inputs fetched", registry=REGISTRY
)
SUBMITTED = Counter("face2face_gateway_jobs", "Requests sent to the topic", registry=REGISTRY)
EVENTS_HEARD = Counter(
    "face2face_gateway_events", "Events heard on the topics", ["kind"], registry=REGISTRY
)
WATCHED = Gauge("face2face_gateway_jobs_watched", "Jobs somebody waits for", registry=REGISTRY)
HUB_CONNECTED = Gauge(
    "face2face_gateway_listening", "1 while the gateway hears the topics", registry=REGISTRY
)
