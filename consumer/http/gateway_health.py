"""`/health` in the shape of the earlier HTTP service, `/livez`, `/readyz` and `/metrics`."""

from __future__ import annotations

import asyncio
import time
from importlib.metadata import version
from typing import Any

from fastapi import APIRouter
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.responses import JSONResponse, Response

from consumer.faults import Fault
from consumer.http.gateway_hub import Hub
from consumer.http.gateway_metrics import REGISTRY
from consumer.scratch import Scratch
from consumer.settings import Settings
from consumer.store.storage import Storage

LIVE_S = 30.0
"""Longest time without a turn of the listening loop."""
FRESH_S = 2.0
"""Life of an answer of brokers and store, so that probes cannot flood them."""
STORE_S = 5.0


class Health:
    """The handlers and what they look at."""

    def __init__(self, settings: Settings, storage: Storage, scratch: Scratch, hub: Hub) -> None:
        self._settings = settings
        self._storage = storage
        self._scratch = scratch
        self._hub = hub
        self._asked = -FRESH_S
        self._troubles: dict[str, str] = {}
        self._asking = asyncio.Lock()

    def router(self) -> APIRouter:
        """The routes."""
        router = APIRouter(tags=["health"])
        router.add_api_route("/health", self.health, summary="Facts for people and old probes")
        router.add_api_route("/livez", self.livez, summary="200 while the process works")
        router.add_api_route("/readyz", self.readyz, summary="200 while calls can be served")
        router.add_api_route("/metrics", self.metrics, summary="Prometheus text")
        return router

    async def health(self) -> Response:
        """The four old keys, then more."""
        troubles = await self._look()
        folder = self._settings.data_dir
        facts: dict[str, Any] = {
            "status": "healthy" if not troubles else "degraded",
            "data_dir": str(folder),
            "data_dir_exists": folder.is_dir(),
            "timestamp": time.time(),
            "version": version("face2face"),
            "role": "gateway",
            "listening": self._hub.connected,
            "disk": {"free_bytes": self._scratch.free_bytes()},
            "troubles": troubles,
        }
        return JSONResponse(facts, headers={"Cache-Control": "no-store"})

    async def livez(self) -> Response:
        """Alive while the listening loop turns."""
        still = time.monotonic() - self._hub.last_poll
        return _probe({} if still < LIVE_S else {"listener": f"no turn for {still:.0f} s"})

    async def readyz(self) -> Response:
        """Ready while brokers and store answer and there is room on the disk."""
        return _probe(await self._look())

    async def metrics(self) -> Response:
        """Everything of the gateway's registry."""
        return Response(generate_latest(REGISTRY), media_type=CONTENT_TYPE_LATEST)

    async def _look(self) -> dict[str, str]:
        async with self._asking:
            if time.monotonic() - self._asked >= FRESH_S:
                found = {
                    "brokers": await self._hub.brokers_answer(),
                    "store": await self._store(),
                    "scratch": self._scratch.nearly_full(),
                }
                self._troubles = {name: text for name, text in found.items() if text}
                self._asked = time.monotonic()
            return self._troubles

    async def _store(self) -> str | None:
        try:
            await asyncio.wait_for(self._storage.check(), STORE_S)
        except Fault as fault:
            return fault.error.message
        except TimeoutError:
            return f"the store did not answer within {STORE_S:g} s"
        return None


def _probe(troubles: dict[str, str]) -> Response:
    return JSONResponse({"ok": not troubles, **troubles}, 503 if troubles else 200)
