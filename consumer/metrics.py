"""Every Prometheus metric of the service, in one place. Names are a contract with dashboards."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

from schemas.codes import ErrorCode, facts

_MINUTES = (1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800)

JOB_SECONDS = Histogram(
    "face2face_job_duration_seconds",
    "From admission to the acknowledged outcome",
    ["outcome"],
    buckets=_MINUTES,
)
QUEUE_SECONDS = Histogram(
    "face2face_queue_wait_seconds",
    "From the record's time stamp to the start of its work",
    buckets=(0.1, 0.5, *_MINUTES),
)
STAGE_SECONDS = Histogram(
    "face2face_stage_seconds",
    "Busy seconds of one stage of one job",
    ["stage"],
    buckets=(0.01, 0.05, 0.1, 0.5, *_MINUTES),
)
FRAMES = Counter("face2face_frames", "Output frames rendered", ["engine"])
OUTCOMES = Counter("face2face_jobs", "Records that ended", ["outcome", "code"])
REUSED = Counter("face2face_jobs_reused", "Outcomes announced again without a render")
IN_PROGRESS = Gauge("face2face_jobs_in_progress", "Jobs admitted and not ended")
SLOTS_BUSY = Gauge("face2face_slots_busy", "Slots that render now", ["device"])
SLOTS_TOTAL = Gauge("face2face_slots_total", "Slots that could render", ["device"])
WORKER_UP = Gauge("face2face_worker_up", "1 while the worker is ready", ["device"])
WORKER_RESTARTS = Counter("face2face_worker_restarts", "Workers started again", ["device"])
GPU_NETWORKS = Gauge(
    "face2face_gpu_networks",
    "Networks that run in one way on a GPU, of compiled, captured and single",
    ["device", "way"],
)
SLOWED_NETWORKS = Gauge(
    "face2face_gpu_networks_slowed",
    "Networks that run in a slower way on a GPU than was tried first",
    ["device"],
)
RETRIES = Counter("face2face_retries", "Jobs sent to the retry topic", ["code"])
DEAD_LETTERS = Counter("face2face_dead_letters", "Records sent to the dead-letter topic", ["code"])
LEASES_LOST = Counter("face2face_leases_lost", "Leases that another replica took over")
OLDEST_UNCOMMITTED = Gauge(
    "face2face_oldest_uncommitted_age_seconds", "How long the oldest record in work has been so"
)
LAST_POLL = Gauge("face2face_last_poll_timestamp_seconds", "When the poll loop last turned")
GROUP_MEMBER = Gauge("face2face_group_member", "1 while this replica is in its group")
PARTITIONS = Gauge("face2face_assigned_partitions", "Partitions of this replica")
LAG = Gauge(
    "face2face_lag_records", "Records of this replica's partitions behind what it has committed"
)
INTAKE_PAUSED = Gauge("face2face_intake_paused", "1 while no record is taken, for a reason")
DRAINING = Gauge("face2face_draining", "1 from SIGTERM on")
STORE_ERRORS = Counter("face2face_store_errors", "Failed calls to the object store", ["operation"])
SCRATCH_BYTES = Gauge("face2face_scratch_bytes", "Bytes under the scratch folder")
FREE_BYTES = Gauge("face2face_disk_free_bytes", "Free bytes of the scratch disk")
MIN_FREE_BYTES = Gauge(
    "face2face_disk_min_free_bytes", "Free bytes of the scratch disk below which intake pauses"
)
AVATAR_HITS = Counter(
    "face2face_avatar_hits", "Jobs whose prepared reference was kept there", ["level"]
)
AVATAR_MISSES = Counter(
    "face2face_avatar_misses", "Jobs whose prepared reference was not there", ["level"]
)
AVATAR_BYTES = Gauge("face2face_avatar_bytes", "Bytes of prepared references on this disk")
SWEPT = Counter(
    "face2face_swept_objects", "Expired objects that our own sweeper removed", ["prefix"]
)
SWEEPS = Counter("face2face_sweeps", "Passes of our own sweeper", ["result"])
LOG_LINES_DROPPED = Counter("face2face_log_lines_dropped", "Log lines that nobody read in time")
BROKERS_UP = Gauge("face2face_brokers_up", "1 while the brokers answer")
STORE_WAITING = Gauge(
    "face2face_store_waiting", "Jobs that have waited for the store for ten seconds or longer"
)
STORE_UP = Gauge("face2face_store_up", "1 while the object store answers")
BUILD = Gauge("face2face_build_info", "1, with the version", ["version"])


def _begin() -> None:
    """Let counters begin at 0 for each code: Prometheus sees no growth in one that appears as 1."""
    OUTCOMES.labels("completed", "")
    OUTCOMES.labels("rejected", ErrorCode.INVALID_REQUEST.value)
    for code in ErrorCode:
        OUTCOMES.labels("failed", code.value)
        DEAD_LETTERS.labels(code.value)
        if facts(code).retryable:
            OUTCOMES.labels("retried", code.value)
            RETRIES.labels(code.value)
    for result in ("swept", "dry", "elsewhere", "failed"):
        SWEEPS.labels(result)


_begin()
