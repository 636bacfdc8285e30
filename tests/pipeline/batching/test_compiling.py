"""What torch's own compiler says where it lacks something."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from pipeline.batching.compiling import FAILURES, compiled, lacking
from pipeline.batching.runner import Network


def test_what_the_compiler_needs_is_named_where_it_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert "triton" in str(lacking())
    monkeypatch.setattr("importlib.util.find_spec", lambda name: object())
    monkeypatch.setattr("shutil.which", lambda name: None)
    assert "C compiler" in str(lacking())
    monkeypatch.setattr("shutil.which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr("sysconfig.get_path", lambda *_: str(tmp_path))
    assert "Python.h" in str(lacking())
    (tmp_path / "Python.h").touch()
    assert lacking() is None


def test_a_compiler_that_does_not_work_is_an_error_and_not_a_network_that_is_not_compiled() -> None:
    """torch's own compiler for processors, with a C++ compiler that is not there."""
    from torch._inductor import config

    def double(x: Tensor) -> Tensor:
        return x * 2 + x.sum(0)

    def run(network: Network) -> None:
        network(torch.ones(3, 2))

    broken = config.patch({"cpp.cxx": ("/nonexistent/c++",), "fx_graph_cache": False})
    with broken, pytest.raises(FAILURES) as caught:
        compiled(double, run)
    assert "/nonexistent/c++" in str(caught.value) or "compiler" in str(caught.value).lower()


def test_an_error_of_triton_itself_is_among_those_that_are_foreseen() -> None:
    errors = pytest.importorskip("triton.errors", reason="comes with torch for CUDA")

    def run(network: Network) -> None:
        raise errors.TritonError("ptxas failed")

    with pytest.raises(RuntimeError, match="TritonError: ptxas failed"):
        compiled(lambda x: x, run)
