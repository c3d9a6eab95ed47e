"""Part of the state store: how many requests a project has made in this minute."""

from __future__ import annotations

import hashlib
import math
import time
from typing import Any

from limits import RateLimitItemPerMinute
from limits.aio.storage import RedisStorage
from limits.aio.strategies import FixedWindowRateLimiter

from recallr_litellm.stores.state.calls import RedisCaller
from recallr_litellm.stores.state.connection import Client


class RequestCounts(RedisCaller):
    """Counts requests, those of all workers together.

    By fixed minutes that begin with a first request: one number a project, and it is known when the next is served.
    """

    async def seconds_to_wait(self, project: str, *, most: int) -> int:
        """Count one more request. 0 where it is one of the first `most` of its minute, else when to try again."""
        limiter = FixedWindowRateLimiter(_OnClient(self._client))
        limit, name = RateLimitItemPerMinute(most), hashlib.sha256(project.encode("utf-8", "replace")).hexdigest()
        async with self._reaching():
            if await limiter.hit(limit, name):
                return 0
            window = await limiter.get_window_stats(limit, name)
        return max(1, math.ceil(window.reset_time - time.time()))


class _OnClient(RedisStorage):
    """The library's storage over a client that is open already, of a single server, a Cluster or Sentinels."""

    def __init__(self, client: Client) -> None:
        self._client = client
        super().__init__("redis://", implementation="redispy", key_prefix="recallr:limits")

    def configure_bridge(self) -> None:
        bridge: Any = self.bridge
        bridge.storage, bridge.connection_getter = self._client, lambda readonly: self._client
