"""Replicas that want one lease."""

from __future__ import annotations

import asyncio
from typing import Any

from consumer.store.held_lease import Held
from consumer.store.lease import Leases
from consumer.store.storage import Storage

KEY = "attempts/job/render.json"
TTL_S = 0.6


class Party:
    """One replica that wants the lease."""

    def __init__(
        self,
        storage: Storage,
        bucket: str,
        name: str,
        render_id: str = "render",
        ttl_s: float = TTL_S,
        **more: Any,
    ) -> None:
        self.leases = Leases(storage, bucket, f"{name}/1/x", ttl_s, **more)
        self.watch = self.leases.watch(KEY, "job", render_id)
        self.conditions: bool | None = None

    async def claim(self) -> Held | None:
        if self.conditions is None:
            self.conditions = await self.leases.honours_conditions()
        return await self.watch.try_claim(conditions=self.conditions)

    async def wait(self) -> Held:
        async with asyncio.timeout(120):
            while (held := await self.claim()) is None:
                await asyncio.sleep(self.watch.pause_s)
        return held
