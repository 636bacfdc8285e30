"""Caches lie where the user wants them, and the index is the one that was configured."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from consumer.caches import avatars_root, package_index, signing_root, weights_root
from consumer.settings import SettingsError

NOBODY = """
import os
import consumer.commands.run
import consumer.settings.load
from consumer import cli
os.setuid(4_000_000)
cli.main()
"""
"""The command line as a user whom no file knows; the checkout may not be theirs to read."""


def test_weights_follow_the_setting_then_the_cache_then_home(tmp_path: Path) -> None:
    assert weights_root({"F2F_WEIGHTS_DIR": str(tmp_path), "XDG_CACHE_HOME": "/c"}) == tmp_path
    assert weights_root({"XDG_CACHE_HOME": "/c"}) == Path("/c/face2face/weights")
    here = Path.home() / ".cache" / "face2face" / "weights"
    assert weights_root({}) == here
    assert weights_root({"XDG_CACHE_HOME": "relative"}) == here


@pytest.mark.parametrize(
    ("name", "root"),
    [
        ("F2F_WEIGHTS_DIR", weights_root),
        ("F2F_SIGNING_DIR", signing_root),
        ("F2F_AVATAR_DIR", avatars_root),
    ],
)
def test_a_folder_in_a_home_that_nobody_has_is_refused_by_the_name_of_its_setting(
    name: str, root: Callable[[Mapping[str, str]], Path]
) -> None:
    assert root({name: "~/x"}) == Path.home() / "x"
    with pytest.raises(SettingsError, match=f"^{name} = '~nosuch/x': begins with ~, and no"):
        root({name: "~nosuch/x"})


@pytest.mark.skipif(os.getuid() != 0, reason="only root may become somebody without a home")
def test_a_user_without_a_home_is_told_what_to_set() -> None:
    done = subprocess.run(
        [sys.executable, "-c", NOBODY, "run"],
        capture_output=True,
        text=True,
        env={"PATH": os.environ["PATH"]},
        timeout=120,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    assert "set XDG_CACHE_HOME" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_index_that_only_uv_knows_is_used_and_pips_own_wins() -> None:
    url = "https://user:secret@index.test/simple?a=b"
    assert package_index({}) is None
    assert package_index({"UV_DEFAULT_INDEX": url}) == url
    assert package_index({"UV_DEFAULT_INDEX": f"ours={url}"}) == url
    assert package_index({"UV_INDEX_URL": url, "PIP_INDEX_URL": "https://pip.test"}) is None
