"""A real Prometheus of one test: Debian's package, or any `prometheus` on the PATH."""

from __future__ import annotations

import json
import shutil
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from tests.support.processes import ServerProcess, free_port
from tests.support.s3 import http_answers

PROGRAM = "prometheus"


class Prometheus:
    """A running server."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"

    def ask(self, query: str) -> list[dict[str, Any]]:
        """The samples of an instant query.

        Raises:
            AssertionError: the server refuses the query.
        """
        text = urllib.parse.urlencode({"query": query})
        with urllib.request.urlopen(f"{self.url}/api/v1/query?{text}", timeout=120) as answer:
            said = json.loads(answer.read())
        assert said["status"] == "success", said
        found: list[dict[str, Any]] = said["data"]["result"]
        return found


def available() -> bool:
    """True where a Prometheus is installed."""
    return shutil.which(PROGRAM) is not None


@contextmanager
def prometheus(folder: Path, targets: Mapping[str, str], rules: Path) -> Iterator[Prometheus]:
    """Scrape `targets` (job → host:port) every second, with these alert rules."""
    folder.mkdir(parents=True, exist_ok=True)
    config = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(rules)],
        "scrape_configs": [
            {"job_name": job, "static_configs": [{"targets": [target]}]}
            for job, target in targets.items()
        ],
    }
    (folder / "prometheus.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    port = free_port()
    command = [
        PROGRAM,
        f"--config.file={folder / 'prometheus.yaml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--log.level=warn",
    ]
    url = f"http://127.0.0.1:{port}/-/ready"
    server = ServerProcess(PROGRAM, command, folder / "log", lambda: http_answers(url))
    server.start()
    try:
        yield Prometheus(port)
    finally:
        server.stop(5.0)
