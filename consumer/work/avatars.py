"""Kept avatars of the service: on this replica's disk, and in the bucket for all replicas.

Before a render what the bucket has of its reference is brought to the disk; the worker, which has
no network, finds it there or makes its own. When the outcome is announced, what is new goes to the
bucket, also in the place of what was damaged there. A cache is a favour: an error of the store or
the disk is a miss, and costs no attempt.
"""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

import structlog

from consumer.avatar_disk import DRAFT, NAME, owned, trim
from consumer.faults import Fault
from consumer.metrics import AVATAR_BYTES, AVATAR_HITS, AVATAR_MISSES
from consumer.settings import Settings
from consumer.store.facts import NOTHING, Stat
from consumer.store.storage import Storage
from consumer.workers.protocol import RenderAvatars
from schemas.refs import ObjectRef
from schemas.render import AvatarFacts

PREFIX = "avatars/"
MAX_FILE = 1024**3
FETCH_S = 30.0
"""What fetching may take; preparing a minute of video anew takes about as long."""
LISTED = 200
FETCHED = 3
"""Files of one folder that are fetched, the newest: they differ in face, height or length."""
WAITING = 64
"""Jobs whose avatars may wait for their upload."""
TRACK = "track-"
"""How the part of a tracked face begins, which engines share; other parts are theirs."""
KIND = "application/octet-stream"
log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Drawer:
    """What one job may find of its reference."""

    video: str
    """Hex SHA-256."""
    parts: tuple[str, ...]
    """Folders that its engine looks into."""
    stored: set[str] | None = None
    """Names that the bucket has; None when it was not asked or did not answer."""
    fetched: set[str] = field(default_factory=set)
    made: list[str] = field(default_factory=list)
    """Names that the render used or made."""
    damaged: set[str] = field(default_factory=set)
    """Names that were fetched and of no use, and are made anew."""

    def is_own(self, name: str) -> bool:
        """Whether a name is one of this job's."""
        match = NAME.fullmatch(name)
        return match is not None and match["video"] == self.video and match["part"] in self.parts


class Avatars:
    """The avatars of one replica."""

    def __init__(self, settings: Settings, storage: Storage) -> None:
        self._storage = storage
        self._bucket = settings.s3_bucket
        self._folder = settings.avatars
        self._limit = settings.avatar_bytes
        self._keep_free = settings.min_free_bytes
        self._in_store = settings.avatar_store
        self._waiting: asyncio.Queue[Drawer] = asyncio.Queue(WAITING)

    @property
    def order(self) -> RenderAvatars | None:
        """What a worker is told; None when nothing is kept."""
        if not self._limit:
            return None
        return RenderAvatars(
            folder=str(self._folder.absolute()),
            max_bytes=self._max_file,
            keep_free=self._keep_free,
        )

    @property
    def _max_file(self) -> int:
        return min(MAX_FILE, self._limit // 2)

    async def fetch(self, video: str, parts: Sequence[str]) -> Drawer:
        """Bring what the bucket has of a reference to the disk.

        Args:
            video: hex SHA-256 of the reference.
            parts: folders that the job's engine looks into; none where it prepares nothing.
        """
        drawer = Drawer(video, tuple(parts))
        if not self._limit or not self._in_store or not parts:
            return drawer
        try:
            async with asyncio.timeout(FETCH_S):
                stored = await self._list(drawer)
                drawer.stored = set(stored)
                for name in self._choice(stored):
                    if owned(self._folder, name) is None:
                        await self._fetch(drawer, name)
        except (Fault, OSError, TimeoutError) as error:
            log.info("avatar not fetched", error=repr(error)[:500])
        return drawer

    def settle(self, drawer: Drawer, facts: AvatarFacts | None) -> None:
        """Count what a render found, and note what it made."""
        if facts is None or not drawer.parts:
            return
        drawer.made = [name for name in facts.files if drawer.is_own(name)]
        fetched = drawer.fetched.intersection(drawer.made)
        drawer.damaged = {name for name in fetched if not _was_used(name, facts)}
        on_disk = facts.reused and not fetched
        (AVATAR_HITS if on_disk else AVATAR_MISSES).labels("disk").inc()
        if not on_disk and self._in_store:
            (AVATAR_HITS if facts.reused else AVATAR_MISSES).labels("store").inc()
        level = "disk" if on_disk else "store" if facts.reused else None
        log.info("avatar", video=drawer.video, reused=facts.reused, level=level)

    def keep(self, drawer: Drawer) -> None:
        """Put what a render made into the bucket some time soon, and bound the folder."""
        if self._limit:
            with contextlib.suppress(asyncio.QueueFull):
                self._waiting.put_nowait(drawer)

    async def run(self) -> None:
        """Upload and trim in the background, for ever."""
        while True:
            drawer = await self._waiting.get()
            try:
                await self._upload(drawer)
                left = await asyncio.to_thread(trim, self._folder, self._limit, self._keep_free)
                AVATAR_BYTES.set(left)
            except (Fault, OSError) as error:
                log.warning("avatar not put into the bucket", error=repr(error)[:500])

    async def _upload(self, drawer: Drawer) -> None:
        if not self._in_store or drawer.stored is None:
            return
        for name in drawer.made:
            path = owned(self._folder, name)
            damaged = name in drawer.damaged
            if path is None or (name in drawer.stored and not damaged):
                continue
            put = partial(self._storage.put_file, self._bucket, PREFIX + name, path, KIND)
            stored = await put(over=None if damaged else NOTHING)
            if stored is not None:
                key, size = PREFIX + name, stored.size
                log.info("avatar put into the bucket", key=key, bytes=size, replaced=damaged)

    # --- fetching

    async def _list(self, drawer: Drawer) -> dict[str, Stat]:
        prefix = f"{PREFIX}{drawer.video}/"
        found: dict[str, Stat] = {}
        for part in drawer.parts:
            page = await self._storage.list_page(self._bucket, f"{prefix}{part}/", "", LISTED)
            found |= {key.removeprefix(PREFIX): stat for key, stat in page}
        return {name: stat for name, stat in found.items() if drawer.is_own(name)}

    def _choice(self, stored: dict[str, Stat]) -> list[str]:
        """The newest of each folder that may be kept here."""
        chosen: list[str] = []
        for part in {name.rsplit("/", 1)[0] for name in stored}:
            mine = [n for n in stored if n.startswith(f"{part}/")]
            mine = [n for n in mine if 0 < stored[n].size <= self._max_file]
            mine.sort(key=lambda n: (stored[n].modified is not None, stored[n].modified, n))
            chosen += mine[-FETCHED:]
        return chosen

    async def _fetch(self, drawer: Drawer, name: str) -> None:
        path = self._folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f".{path.stem}-{uuid.uuid4().hex}{DRAFT}")
        try:
            ref = ObjectRef(self._bucket, PREFIX + name)
            await self._storage.fetch(ref, draft, self._max_file)
            draft.replace(path)
        finally:
            with contextlib.suppress(OSError):
                draft.unlink(missing_ok=True)
        drawer.fetched.add(name)


def _was_used(name: str, facts: AvatarFacts) -> bool:
    """Whether a render could use the file of a name that was there."""
    part = name.split("/")[1]
    return facts.track_reused if part.startswith(TRACK) else facts.reused
