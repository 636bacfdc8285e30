"""The engines by name. An engine's modules are imported only when it is asked for."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from pipeline.engines.base import Engine, Warming
from pipeline.engines.whole import WholeEngine
from pipeline.errors import UnknownEngine, WeightsMissing
from pipeline.once import Once
from pipeline.weights import verify_faces, weights_root
from schemas.codes import Stage
from schemas.render import EngineFacts

Made = Engine[Any, Any] | WholeEngine
Maker = Callable[[Path, str, int], Made]
"""(weights root, device, threads) to an engine; raises `WeightsMissing`."""


@dataclass(frozen=True, slots=True)
class _Entry:
    name: str
    make: Maker
    tell: Callable[[Path, str], EngineFacts] | None = None
    """Its facts without loading it; raises `WeightsMissing`."""
    hears_phones: bool = False
    """Plans from phones, which can be recognised beside earlier stages."""
    wide: bool = False
    """Has networks whose single operators are worth several processors."""
    prepares: bool = True
    """Makes an avatar of the reference, which is worth keeping."""


def _maker(package: str, **told: bool) -> Maker:
    """`load_engine` of an engine's package, which is imported when it is called."""

    def make(root: Path, device: str, threads: int) -> Made:
        module = importlib.import_module(f"pipeline.engines.{package}.engine")
        engine: Made = module.load_engine(root, device, threads=threads, **told)
        return engine

    return make


def _musetalk_facts(root: Path, device: str, fast: bool) -> EngineFacts:
    weights = importlib.import_module("pipeline.engines.musetalk.weights")
    engine = importlib.import_module("pipeline.engines.musetalk.engine")
    hub = importlib.import_module("pipeline.weights_hub")
    hub.installed(weights.manifest(), root, weights.FAST_NETWORKS if fast else weights.NETWORKS)
    told: EngineFacts = engine.facts_of(device, fast, weights.facts(fast))
    return told


_ENTRIES = (
    _Entry("viseme", _maker("viseme"), hears_phones=True),
    _Entry("musetalk", _maker("musetalk"), partial(_musetalk_facts, fast=False), wide=True),
    _Entry(
        "musetalk-fast",
        _maker("musetalk", fast=True),
        partial(_musetalk_facts, fast=True),
        wide=True,
    ),
    _Entry("wav2lip", _maker("wav2lip"), wide=True),
    _Entry("duix", _maker("duix"), prepares=False),
)
NAMES = tuple(entry.name for entry in _ENTRIES)
"""Every engine that a job may name; the first is the default."""


def create(name: str, device: str, threads: int) -> Made:
    """The engine of a name, ready to work. Networks are loaded once per device and shared.

    Args:
        threads: processor budget of one job.

    Raises:
        UnknownEngine: no engine of that name; lists the names.
        WeightsMissing: its weights are not on this machine; names the command that brings them.
    """
    if name not in NAMES:
        known = ", ".join(NAMES)
        raise UnknownEngine(
            f"no engine is called {name!r}: choose one of {known}",
            stage=Stage.PROBE,
            engine=name,
            known=list(NAMES),
        )
    return _loaded(name, device, _heeded(device, threads), weights_root())


def warm(name: str, device: str) -> None:
    """Do now what the first job of an engine on a device would wait for.

    Raises:
        UnknownEngine, WeightsMissing: as `create`.
    """
    engine = create(name, device, 1)
    if isinstance(engine, Warming):
        engine.warm()


def _heeded(device: str, threads: int) -> int:
    """The threads that make a difference: jobs of several budgets share one engine on a GPU."""
    return threads if device == "cpu" else 1


def hears_phones(name: str) -> bool:
    """Whether an engine plans from phones (`pipeline.speech.recognise_ahead`)."""
    return any(entry.hears_phones for entry in _ENTRIES if entry.name == name)


def prepares(name: str) -> bool:
    """Whether an engine makes an avatar of the reference (`pipeline.avatars`)."""
    return any(entry.prepares for entry in _ENTRIES if entry.name == name)


def operator_threads(name: str, device: str, threads: int) -> int:
    """Threads that one operator of torch is to use on the host, for `torch.set_num_threads`.

    One for engines of small operators and on other devices: stages already overlap in threads of
    their own, and helpers that wait for the next operator take processors from libavcodec and x264
    (twice the processor time on two cores). It also makes results free of the number of cores.
    """
    wide = any(entry.wide for entry in _ENTRIES if entry.name == name)
    return max(1, threads) if wide and device == "cpu" else 1


@Once
def _loaded(name: str, device: str, threads: int, root: Path) -> Made:
    entry = next(entry for entry in _ENTRIES if entry.name == name)
    return entry.make(root, device, threads)


def available(device: str = "cpu") -> list[EngineFacts]:
    """The engines whose weights, face models too, are on this machine, in the order of `NAMES`.

    No network is loaded for those whose facts are known without it.
    """
    return [
        told for told in map(partial(_facts, device), _ENTRIES) if isinstance(told, EngineFacts)
    ]


def missing(device: str = "cpu") -> dict[str, WeightsMissing]:
    """The other engines by name, and what each lacks; the error says how it gets it."""
    told = {entry.name: _facts(device, entry) for entry in _ENTRIES}
    return {name: error for name, error in told.items() if isinstance(error, WeightsMissing)}


def _facts(device: str, entry: _Entry) -> EngineFacts | WeightsMissing:
    root = weights_root()
    try:
        if entry.tell:
            told = entry.tell(root, device)
        else:
            told = _loaded(entry.name, device, 1, root).facts
        if entry.prepares:  # all but those whose container looks for faces itself
            verify_faces(root)
    except WeightsMissing as error:
        return error
    return told
