"""The service: Kafka in and out, the store, the worker processes, HTTP and the command line.

`app` puts the service together and owns the order of its start and end. A record goes

    kafka ─ Job ─> work ─ render ─> workers ─ lines ─> the child (pipeline)
      ^              │ objects ─> store · remote
      └── Verdict ───┘

and `jobs` holds what passes between `kafka` and `work`. The parent process never imports the
pipeline or torch; only the child and the commands on local files do. Which package may import which
is in docs/architecture.md, "Rooms", and held by `make check`.
"""
