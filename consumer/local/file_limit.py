"""How many files this process may hold open: media, pipes, brokers and store need some hundred."""

from __future__ import annotations

import resource

from consumer.local.console import CommandError

LEAST, WANTED = 128, 4096
"""Below the first no job ends well; up to the second the soft limit is raised, where it may be."""


def provide_open_files() -> None:
    """Raise the soft limit of open files.

    Raises:
        CommandError: RLIMIT_NOFILE allows fewer than `LEAST`.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= WANTED:
        return
    most = WANTED if hard == resource.RLIM_INFINITY else min(WANTED, hard)
    if most < LEAST:
        raise CommandError.usage(
            f"this process may open {most} files (RLIMIT_NOFILE), fewer than the {LEAST} that it "
            "needs; raise the hard limit: `ulimit -n 4096`, LimitNOFILE= or --ulimit nofile=4096",
            limit=most,
            min=LEAST,
        )
    if most > soft:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
