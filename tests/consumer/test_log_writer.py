"""Whoever logs never waits for who reads."""

from __future__ import annotations

import io
import logging
import os
import subprocess
import sys

import pytest

from consumer import log_writer
from consumer.log_writer import LogWriter, handler

MOST = 50
LONG = 2_000


def _logger(writer: logging.Handler) -> logging.Logger:
    logger = logging.Logger("test")
    logger.addHandler(writer)
    return logger


def test_lines_that_nobody_reads_are_dropped_and_counted_and_those_after_it_come(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(log_writer, "MOST_LINES", MOST)
    reader, end = os.pipe()
    with os.fdopen(end, "w", encoding="utf-8") as stream:
        writer = LogWriter(stream)
        logger = _logger(writer)
        sent = 65_536 // LONG + 4 * MOST  # what a pipe and the queue hold, and more
        for number in range(sent):
            logger.warning("%d %s", number, "x" * LONG)  # none of them waits
    with os.fdopen(reader, encoding="utf-8") as lines:
        told = []
        while "were dropped" not in (line := lines.readline()):
            told.append(line.split()[0])
        logger.warning("heard again")
        assert lines.readline() == "heard again\n"
    assert told == [str(number) for number in range(len(told))]
    assert len(told) >= MOST
    assert line.startswith(f"{sent - len(told)} log lines ")


def test_the_last_lines_of_a_process_are_written() -> None:
    code = (
        "import logging, sys\n"
        "from consumer.log_writer import handler\n"
        "logging.getLogger().handlers[:] = [handler(sys.stderr)]\n"
        "[logging.error('%d', n) for n in range(1000)]\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True
    )
    assert done.stderr.split() == [str(number) for number in range(1000)]


@pytest.mark.parametrize(
    "end",
    [
        "show_error(CommandError.usage('why').error, False)",
        "install_last_resort(False); raise RuntimeError('why')",
    ],
)
def test_why_a_process_ended_is_said_behind_its_log(end: str) -> None:
    code = (
        "import logging, sys\n"
        "from consumer.local.console import CommandError, install_last_resort, show_error\n"
        "from consumer.log_writer import handler\n"
        "logging.getLogger().handlers[:] = [handler(sys.stderr)]\n"
        "[logging.error('%d', n) for n in range(3000)]\n"
        f"{end}\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False
    )
    lines = done.stderr.splitlines()
    assert lines[:3000] == [str(number) for number in range(3000)]
    assert lines[-1].endswith(": why")


def test_a_process_whose_lines_nobody_reads_ends_all_the_same() -> None:
    code = (
        "import logging, sys\n"
        "from consumer.log_writer import handler\n"
        "logging.getLogger().handlers[:] = [handler(sys.stderr)]\n"
        "[logging.error('x' * 1000) for _ in range(1000)]\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE)
    assert process.wait(120) == 0
    process.communicate()


def test_a_reader_that_has_gone_ends_nobody() -> None:
    reader, end = os.pipe()
    with os.fdopen(end, "w", encoding="utf-8") as stream:
        os.close(reader)
        writer = LogWriter(stream)
        _logger(writer).warning("to nobody")
        writer.flush()
        assert writer._lines.unfinished_tasks == 0


def test_a_stream_without_a_file_is_written_at_once() -> None:
    stream = io.StringIO()
    _logger(handler(stream)).warning("seen")
    assert stream.getvalue() == "seen\n"
