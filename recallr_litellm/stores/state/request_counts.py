"""Part of the state store: how often something was done in this minute, as requests of a project."""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Sequence
from typing import Any

from limits import RateLimitItem, RateLimitItemPerMinute
from limits.aio.storage import RedisStorage
from limits.aio.strategies import FixedWindowRateLimiter

from recallr_litellm.stores.state.calls import RedisCaller
from recallr_litellm.stores.state.connection import Client


class RequestCounts(RedisCaller):
    """Counts what all workers serve together.

    By fixed minutes that begin with a first one: one number a name, and it is known when the next is served.
    """

    async def seconds_to_wait(self, *name: str, most: int) -> int:
        """Count one more of this name. 0 where it is one of the first `most` of its minute, else when to try again."""
        limiter, limit, key = self._counter(name, most)
        async with self._reaching():
            if await limiter.hit(limit, *key):
                return 0
            window = await limiter.get_window_stats(limit, *key)
        return max(1, math.ceil(window.reset_time - time.time()))

    async def uncount(self, *name: str, most: int) -> None:
        """Take back one that `seconds_to_wait` has counted."""
        limiter, limit, key = self._counter(name, most)
        async with self._reaching():
            await limiter.hit(limit, *key, cost=-1)

    def _counter(self, name: Sequence[str], most: int) -> tuple[FixedWindowRateLimiter, RateLimitItem, list[str]]:
        key = [hashlib.sha256(part.encode("utf-8", "replace")).hexdigest() for part in name]
        return FixedWindowRateLimiter(_OnClient(self._client)), RateLimitItemPerMinute(most), key


class _OnClient(RedisStorage):
    """The library's storage over a client that is open already, of a single server, a Cluster or Sentinels."""

    def __init__(self, client: Client) -> None:
        self._client = client
        super().__init__("redis://", implementation="redispy", key_prefix="recallr:limits")

    def configure_bridge(self) -> None:
        bridge: Any = self.bridge
        bridge.storage, bridge.connection_getter = self._client, lambda readonly: self._client
