"""Ctrl-C in the first moments ends the script in silence, with the code of every other moment."""

from __future__ import annotations

import subprocess
import sys

import pytest

from consumer.entry import STOPPED
from consumer.local import console

STRUCK = """
import os, signal, sys

class Striker:
    def find_spec(self, name, *_):
        if name == "{module}":
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Striker())
sys.argv = ["face2face", "--version"]
from consumer.entry import main
main()
"""


@pytest.mark.usefixtures("heard_signals")
@pytest.mark.parametrize("module", ["consumer.cli", "consumer.settings.kafka"])
def test_ctrl_c_while_code_is_loaded_is_no_traceback(module: str) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", STRUCK.format(module=module)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (STOPPED, "", "")


def test_the_code_is_that_of_all_commands() -> None:
    assert STOPPED == console.STOPPED
