"""Everything that a prepared reference depends on, as one JSON object, and where its file lies.

    <sha256 of the video>/track-<lineage>/<frames>-<digest of the key>.safetensors
    <sha256 of the video>/<engine>-<its revision>-<lineage>/<frames>-<digest of the key>.safetensors

The lineage stands for the code of the pipeline, the contracts, the libraries under them and the
kind of machine: a file of another release is never used, whether or not somebody thought of
counting a revision up.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch

import schemas
from pipeline.types import Limits, VideoFacts
from schemas.render import EngineFacts
from schemas.request import FaceBox, RenderOptions

SUFFIX = ".safetensors"
TRACK = "track"
_PROJECT = "face2face"
_NAME = re.compile(r"[A-Za-z0-9._-]+")
_TOOLS = re.compile(r"extra == .(test|check)\b")
_ROOTS = (Path(__file__).parents[1], Path(schemas.__file__).parent)
"""A track keeps, by number, kinds of spans that the contracts name."""


@dataclass(frozen=True, slots=True)
class Key:
    """One file's identity."""

    facts: dict[str, Any]
    """All of it; the file carries a copy and is compared with it."""
    name: str
    """Its path under the folder of all avatars, and its key under `avatars/` in a bucket."""


def track_key(
    sha256: str,
    video: VideoFacts,
    frames: int,
    options: RenderOptions,
    limits: Limits,
    device: str,
) -> Key:
    """The key of a tracked face.

    Args:
        video: as probed; its path does not count.
        frames: grid frames that are tracked, from the first.
        options: of the request; the face and the height count.
        limits: all but the time that probing may take.
    """
    picture = {k: v for k, v in asdict(video).items() if k != "path"}
    bounds = {k: v for k, v in asdict(limits).items() if k != "probe_timeout_s"}
    face = options.face.model_dump(mode="json") if isinstance(options.face, FaceBox) else "largest"
    facts = {
        "kind": TRACK,
        "video": sha256,
        "lineage": lineage(device),
        "picture": {**picture, "fps": str(video.fps)},
        "frames": frames,
        "face": face,
        "max_height": options.max_height,
        "limits": bounds,
    }
    return _key(facts, sha256, track_folder(device), frames)


def engine_key(track: Key, content: str, engine: EngineFacts, threads: int) -> Key:
    """The key of what an engine makes of a track.

    Args:
        content: digest of the track's tensors.
        threads: of one operator; more of them add up in another order.
    """
    facts = {
        "kind": "engine",
        "track": track.facts,
        "content": content,
        "engine": [engine.name, engine.version, engine.revision],
        "weights": [[w.name, w.revision, w.sha256] for w in engine.weights],
        "threads": threads,
    }
    folder = engine_folder(engine, engine.device)
    return _key(facts, str(track.facts["video"]), folder, int(track.facts["frames"]))


def folders(engines: Iterable[EngineFacts], device: str) -> dict[str, list[str]]:
    """The folders under a video in which a job on each engine looks."""
    shared = track_folder(device)
    return {engine.name: [shared, engine_folder(engine, device)] for engine in engines}


def track_folder(device: str) -> str:
    """Of tracks, which engines share."""
    return f"{TRACK}-{lineage(device)}"


def engine_folder(engine: EngineFacts, device: str) -> str:
    """Of one engine's own part."""
    revision = re.sub(r"[^A-Za-z0-9.-]", "_", f"{engine.name}-{engine.revision}")
    return f"{revision[:80]}-{lineage(device)}"


def _key(facts: dict[str, Any], sha256: str, folder: str, frames: int) -> Key:
    text = json.dumps(facts, sort_keys=True, separators=(",", ":"), allow_nan=True)
    digest = hashlib.sha256(text.encode()).hexdigest()[:20]
    return Key(json.loads(text), f"{sha256}/{folder}/{frames}-{digest}{SUFFIX}")


@lru_cache(maxsize=4)
def lineage(device: str) -> str:
    """Twelve hex digits for the code, the libraries and the kind of machine."""
    found = hashlib.sha256()
    for root in _ROOTS:
        for path in sorted(p for p in root.rglob("*") if p.suffix in (".py", ".json")):
            found.update(f"{path.relative_to(root)}|".encode() + path.read_bytes())
    told = [[name, _version(name)] for name in _libraries()]
    found.update(json.dumps([told, _machine(device)]).encode())
    return found.hexdigest()[:12]


def _libraries() -> list[str]:
    """What this project needs to run: one of them may hold weights, or round otherwise."""
    try:
        needed = importlib.metadata.requires(_PROJECT) or []
    except importlib.metadata.PackageNotFoundError:
        needed = [found.name for found in importlib.metadata.distributions()]
    used = [each for each in needed if not _TOOLS.search(each)]
    return sorted({found[0] for each in used if (found := _NAME.match(each))})


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _machine(device: str) -> str:
    """Kernels round by what they run on."""
    if torch.device(device).type == "cuda":
        return f"{torch.cuda.get_device_name(device)} {torch.version.cuda}"
    return f"cpu {torch.backends.cpu.get_cpu_capability()}"
