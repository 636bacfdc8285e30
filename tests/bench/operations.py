"""What one frame costs the interpreter: operators of torch and calls of Python, without networks.

On a GPU a render is bound by the one interpreter of its process, not by the device. Seconds say
little of that on a busy machine, counts do not change: each operator takes the interpreter's lock,
gives it up and asks for it again.
"""

from __future__ import annotations

import sys
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import wraps
from typing import Any
from unittest.mock import patch

from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes

from pipeline.engines.musetalk import hearing
from pipeline.faces.network import Network

NETWORKS = "networks"
"""Where what runs inside a network is counted, and all of the threads that only feed one."""
_PLACES = {"f2f-decode": "decode", "f2f-encode": "encode", "f2f-batch": NETWORKS}


class Counts:
    """Operators by place: `decode`, `encode`, `networks`, and `engine` for the rest."""

    def __init__(self) -> None:
        self.operators: Counter[str] = Counter()
        self.calls = 0
        """Of Python's functions, but for torch's own."""
        self.adding = threading.Lock()
        self.names: Counter[tuple[str, str]] = Counter()
        """Operators by place and name."""
        self.seconds: dict[str, float] = defaultdict(float)
        """Processor time inside operators by place, without what counting costs."""
        self._inside = threading.local()

    def place(self) -> str:
        """Where the current thread is."""
        if getattr(self._inside, "network", False):
            return NETWORKS
        return _PLACES.get(threading.current_thread().name, "engine")

    @contextmanager
    def network(self) -> Iterator[None]:
        """What this thread does inside belongs to a network."""
        before = getattr(self._inside, "network", False)
        self._inside.network = True
        try:
            yield
        finally:
            self._inside.network = before


class _Mode(TorchDispatchMode):  # type: ignore[no-untyped-call]
    def __init__(self, counts: Counts) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._counts = counts

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        place = self._counts.place()
        self._counts.operators[place] += 1
        self._counts.names[place, str(func)] += 1
        start = time.thread_time()
        made = func(*args, **(kwargs or {}))
        self._counts.seconds[place] += time.thread_time() - start
        return made


@contextmanager
def counted(*, calls: bool = False) -> Iterator[Counts]:
    """Count what happens inside, in this thread and in those that are started meanwhile.

    Args:
        calls: count calls of Python functions instead of operators, whose counting would make
            four of them each. Those of the threads that feed networks count as well.
    """
    counts = Counts()
    run = threading.Thread.run

    def counted_run(thread: threading.Thread) -> None:
        if _PLACES.get(thread.name) == NETWORKS and not calls:
            run(thread)
            return
        with _profiled(counts) if calls else _Mode(counts):
            run(thread)

    with ExitStack() as stack:
        stack.enter_context(patch.object(threading.Thread, "run", counted_run))
        if not calls:
            for owner, name in ((hearing, "encoder_states"), (Network, "__call__")):
                stack.enter_context(patch.object(owner, name, _as_network(counts, owner, name)))
        stack.enter_context(_profiled(counts) if calls else _Mode(counts))
        yield counts


def _as_network(counts: Counts, owner: Any, name: str) -> Callable[..., Any]:
    whole = getattr(owner, name)

    @wraps(whole)
    def run(*args: Any, **named: Any) -> Any:
        with counts.network(), _disable_current_modes():
            return whole(*args, **named)

    return run


@contextmanager
def _profiled(counts: Counts) -> Iterator[None]:
    calls = 0

    def note(frame: Any, event: str, arg: Any) -> None:
        nonlocal calls
        del arg
        if event == "call" and "/torch/" not in frame.f_code.co_filename:
            calls += 1

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        yield
    finally:
        sys.setprofile(before)
        with counts.adding:
            counts.calls += calls


def per_frame(short: Counts, long: Counts, frames: int) -> dict[str, float]:
    """Operators that each of `frames` more frames took, by place, without networks."""
    return {
        place: (long.operators[place] - short.operators[place]) / frames
        for place in sorted(long.operators)
        if place != NETWORKS
    }
