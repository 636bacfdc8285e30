"""Alert rules and board ask for what exists, and each alert fires when, and only when, it must.

Prometheus' own `promtool` is the judge where it is built (`make test-deploy`) or installed.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import REGISTRY, CollectorRegistry

from consumer import metrics
from consumer.http.gateway_metrics import REGISTRY as GATEWAY
from schemas.codes import ErrorCode, facts
from tests.support.packages import PROMTOOL

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deploy" / "prometheus"
GROUPS = yaml.safe_load((FOLDER / "alerts.yaml").read_text(encoding="utf-8"))["groups"]
RULES: dict[str, dict[str, Any]] = {r["alert"]: r for group in GROUPS for r in group["rules"]}
CASES = yaml.safe_load((FOLDER / "tests.yaml").read_text(encoding="utf-8"))["tests"]
BOARD = json.loads((ROOT / "deploy/grafana/dashboards/face2face.json").read_text(encoding="utf-8"))
PANELS = [panel for panel in BOARD["panels"] if panel["type"] != "row"]
RUNBOOK = (ROOT / "deploy" / "runbook.md").read_text(encoding="utf-8")
SCRAPES = ("prometheus.yaml", "kubernetes.yaml")
OF_PROMETHEUS = {"up"}
OF_PROCESSES = {"process_resident_memory_bytes", "process_cpu_seconds_total"}


def _promtool(*arguments: str) -> None:
    built = PROMTOOL.home / "promtool"
    program = str(built) if PROMTOOL.ready() else shutil.which("promtool")
    if program is None:
        pytest.skip("no promtool: `make test-deploy` builds it, Debian's `prometheus` has it")
    done = subprocess.run(
        [program, *arguments], cwd=FOLDER, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_prometheus_reads_the_rules() -> None:
    _promtool("check", "rules", "alerts.yaml")


def test_every_alert_fires_and_keeps_quiet_as_its_cases_say() -> None:
    _promtool("test", "rules", "tests.yaml")


@pytest.mark.parametrize("name", SCRAPES)
def test_prometheus_reads_its_configuration(name: str) -> None:
    _promtool("check", "config", "--syntax-only", name)


@pytest.mark.parametrize("name", SCRAPES)
def test_rules_look_for_the_jobs_that_are_scraped(name: str) -> None:
    asked = set(re.findall(r'job="([^"]+)"', " ".join(rule["expr"] for rule in RULES.values())))
    assert {job["job_name"] for job in _scrapes(name)} == asked


def _scrapes(name: str) -> list[dict[str, Any]]:
    jobs: list[dict[str, Any]] = yaml.safe_load((FOLDER / name).read_text("utf-8"))[
        "scrape_configs"
    ]
    return jobs


@pytest.mark.parametrize("alert", RULES)
def test_every_alert_has_a_firing_and_a_quiet_case(alert: str) -> None:
    expected = {
        bool(check["exp_samples"])
        for case in CASES
        for check in case["promql_expr_test"]
        if f'"{alert}"' in check["expr"]
    }
    assert expected == {True, False}


def _names(registry: CollectorRegistry) -> set[str]:
    found: set[str] = set()
    for family in registry.collect():
        suffixes = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count")}
        found |= {family.name + suffix for suffix in suffixes.get(family.type, ("",))}
    return found


def _asked(expression: str) -> set[str]:
    return set(re.findall(r"\b(?:face2face_\w+|process_\w+|up)\b(?=[\[{ )]|$)", expression))


EXPRESSIONS = {
    **{alert: rule["expr"] for alert, rule in RULES.items()},
    **{f"{p['title']} {t['refId']}": t["expr"] for p in PANELS for t in p["targets"]},
}


@pytest.mark.parametrize("place", EXPRESSIONS)
def test_every_metric_that_is_asked_for_exists(place: str) -> None:
    assert metrics.BUILD is not None
    asked = _asked(EXPRESSIONS[place])
    assert asked
    assert asked <= _names(REGISTRY) | _names(GATEWAY) | OF_PROMETHEUS | OF_PROCESSES


def test_what_alerts_watch_for_growth_is_there_before_it_grows() -> None:
    """Prometheus sees no growth in a counter that appears with its first event."""
    code = (
        "from prometheus_client import generate_latest; from consumer import metrics;"
        "from consumer.workers.devices import Device; from consumer.workers.worker import Worker;"
        "from consumer.workers.protocol import Start;"
        "Worker(Device('cpu', ''), Start(), stall_timeout_s=1); print(generate_latest().decode())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
    )
    lines = done.stdout.splitlines()
    rules = " ".join(rule["expr"] for rule in RULES.values())
    for name in set(re.findall(r"increase\((face2face_\w+)", rules)):
        assert any(re.match(rf"{name}(\{{.*\}})? 0\.0$", line) for line in lines), name
    for each in ErrorCode:
        assert f'face2face_dead_letters_total{{code="{each}"}} 0.0' in lines
        assert f'face2face_jobs_total{{code="{each}",outcome="failed"}} 0.0' in lines
        again = f'face2face_jobs_total{{code="{each}",outcome="retried"}} 0.0'
        assert (again in lines) is facts(each).retryable
    assert 'face2face_sweeps_total{result="failed"} 0.0' in lines
    assert 'face2face_worker_up{device="cpu"} 0.0' in lines, "one that hangs at its start is down"


def test_every_metric_of_ours_is_on_the_board_or_in_an_alert() -> None:
    asked = set().union(*(_asked(text) for text in EXPRESSIONS.values()))
    roots = {re.sub(r"_(total|bucket|sum|count)$", "", name) for name in asked}
    ours = {
        family.name
        for registry in (REGISTRY, GATEWAY)
        for family in registry.collect()
        if family.name.startswith("face2face_")
    }
    assert ours <= roots | asked


@pytest.mark.parametrize("alert", RULES)
def test_every_alert_says_how_bad_it_is_and_where_its_cure_stands(alert: str) -> None:
    rule = RULES[alert]
    assert rule["labels"]["severity"] in ("critical", "warning", "info")
    assert rule["annotations"]["summary"]
    assert rule["annotations"]["runbook"] == f"deploy/runbook.md#{alert.lower()}"
    section = _section(alert)
    assert "Cause" in section
    assert "Cure" in section


def test_the_book_lists_every_alert_by_how_bad_it_is() -> None:
    rows = re.findall(r"^\| (critical|warning|info): [^|]+ \| (.+) \|$", RUNBOOK, re.MULTILINE)
    listed = {link: severity for severity, row in rows for link in re.findall(r"\(#(\w+)\)", row)}
    assert listed == {name.lower(): rule["labels"]["severity"] for name, rule in RULES.items()}


def test_the_log_lines_of_the_book_are_those_of_the_service() -> None:
    section = RUNBOOK.partition("## What the log says")[2].partition("## Alerts")[0]
    cells = re.findall(r"^\| (`.*?) \|", section, re.MULTILINE)
    lines = [line.removesuffix("...") for cell in cells for line in re.findall(r"`(.+?)`", cell)]
    assert len(lines) > 10
    code = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "consumer").rglob("*.py"))
    assert [line for line in lines if f'"{line}' not in code] == []


@pytest.mark.parametrize("code", list(ErrorCode))
def test_every_error_code_has_its_cause_and_cure(code: ErrorCode) -> None:
    (row,) = re.findall(rf"^\| `{code}` \|(.+)\|$", RUNBOOK, re.MULTILINE)
    retried, cause, cure = (cell.strip() for cell in row.split("|"))
    assert retried == ("yes" if facts(code).retryable else "no")
    assert len(cause) > 20
    assert len(cure) > 20


def test_the_book_speaks_of_nothing_that_does_not_exist() -> None:
    codes = set(re.findall(r"^\| `([A-Z_]+)` \| (?:yes|no) ", RUNBOOK, re.MULTILINE))
    assert codes == set(ErrorCode)
    sections = set(re.findall(r"^### (Face2Face\w+)$", RUNBOOK, re.MULTILINE))
    assert sections == set(RULES)


def _section(title: str) -> str:
    found = re.search(rf"^### {title}$(.*?)(?=^##|\Z)", RUNBOOK, re.MULTILINE | re.DOTALL)
    assert found is not None, title
    return found[1]


def test_failures_of_ours_and_of_callers_are_told_apart_completely() -> None:
    texts = RULES["Face2FaceFailureRate"]["expr"], RULES["Face2FaceRejectedRequests"]["expr"]
    ours, theirs = (re.search(r'code=~"([^"]+)"', text)[1] for text in texts)  # type: ignore[index]
    nobodys = {ErrorCode.CANCELLED, ErrorCode.DEADLINE_EXCEEDED}
    for code in ErrorCode:
        hits = bool(re.fullmatch(ours, code)), bool(re.fullmatch(theirs, code))
        assert sum(hits) == (0 if code in nobodys else 1), (code, hits)


def test_panels_do_not_overlap_and_have_ids_of_their_own() -> None:
    ids = [panel["id"] for panel in BOARD["panels"]]
    assert len(set(ids)) == len(ids)
    taken: set[tuple[int, int]] = set()
    for panel in BOARD["panels"]:
        at = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(at["x"], at["x"] + at["w"])
            for y in range(at["y"], at["y"] + at["h"])
        }
        assert not cells & taken
        assert at["x"] + at["w"] <= 24
        taken |= cells
