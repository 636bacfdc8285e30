"""What the commands do at signals."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from consumer.local.console import BAD_INPUT, STOPPED

TERM_IN_A_CALLBACK = """
import os, signal, sys
from consumer.local.console import exit_on_sigterm, exiting_on_sigterm

class Dropped:
    def __del__(self):  # Python drops what is raised here, as in the callbacks of imports
        os.kill(os.getpid(), signal.SIGTERM)
        for _ in range(1000):
            pass

{how}
sys.exit("went on")
"""
WAYS = {
    "from here on": "exit_on_sigterm(); Dropped()",
    "inside": """
with exiting_on_sigterm():
    Dropped()
""",
}


def _run(code: str) -> subprocess.CompletedProcess[str]:
    """What a Python of its own makes of some code."""
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False
    )


@pytest.mark.parametrize("how", WAYS.values(), ids=WAYS)
def test_sigterm_before_a_service_listens_is_heard_wherever_it_strikes(how: str) -> None:
    ended = _run(TERM_IN_A_CALLBACK.format(how=how))
    assert ended.returncode == 0, ended.stderr


def test_sigterm_after_the_start_goes_where_it_went_before() -> None:
    code = """
import signal
from consumer.local.console import exiting_on_sigterm
before = signal.getsignal(signal.SIGTERM)
with exiting_on_sigterm():
    assert signal.getsignal(signal.SIGTERM) is not before
assert signal.getsignal(signal.SIGTERM) is before
"""
    ended = _run(code)
    assert ended.returncode == 0, ended.stderr


LOADED = """
import os, signal
from consumer.local.console import loading

class Dropped:
    def __del__(self):  # whose exceptions Python prints and drops, as those of import callbacks
        os.kill(os.getpid(), signal.{name})

with loading():
    Dropped()
    print("went on")
"""


@pytest.mark.usefixtures("heard_signals")
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_command_that_is_stopped_while_it_loads_ends_without_a_word(name: str) -> None:
    ended = _run(LOADED.format(name=name))
    assert (ended.returncode, ended.stdout, ended.stderr) == (STOPPED, "", "")


STRUCK = """
import os, signal, sys
from consumer.local.console import stoppable

signal.signal(signal.SIGHUP, signal.{before})
try:
    with stoppable():
        os.kill(os.getpid(), signal.{name})
        sys.exit("went on")
except KeyboardInterrupt:
    sys.exit("stopped")
"""


@pytest.mark.parametrize(
    ("name", "before", "ends"),
    [
        ("SIGINT", "SIG_DFL", "stopped"),
        ("SIGTERM", "SIG_DFL", "stopped"),
        ("SIGHUP", "SIG_DFL", "stopped"),
        ("SIGHUP", "SIG_IGN", "went on"),
    ],
)
def test_a_command_cleans_up_when_its_terminal_is_closed_unless_nohup_holds_it(
    name: str, before: str, ends: str
) -> None:
    assert _run(STRUCK.format(name=name, before=before)).stderr.strip() == ends


STEERING = "\x1b]0;\x07 \x9b31m \r \u202e \u2066 \u200f \x7f"


@pytest.mark.parametrize("speak", ["say(text)", "tell(text)", "emit({'name': text})"])
def test_names_of_files_steer_no_terminal_and_are_still_told(speak: str) -> None:
    name = f"{STEERING}שלום 👩‍🚀.mp4"
    code = f"from consumer.local.console import emit, say, tell\ntext = {name!r}\n{speak}"
    ended = _run(code)
    said = ended.stdout + ended.stderr
    assert ended.returncode == 0, said
    assert not set(said.rstrip("\n")) & {letter for letter in STEERING if not letter.isprintable()}
    assert "\\u202e" in said
    assert "שלום 👩‍🚀.mp4" in said
    if speak.startswith("emit"):
        assert json.loads(said) == {"name": name}


@pytest.mark.parametrize("typed", ["\x1b]0;red\x07", "\u202edaol"])
def test_what_was_typed_wrongly_steers_no_terminal(typed: str) -> None:
    words = [sys.executable, "-m", "consumer.cli", "engines", typed]
    ended = subprocess.run(words, capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == BAD_INPUT
    assert "Usage: face2face" in ended.stderr
    assert typed not in ended.stderr
    assert json.dumps(typed)[1:-1] in ended.stderr
