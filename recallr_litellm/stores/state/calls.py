"""Asking Redis: within a time limit, and with one kind of error."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Self

from redis.commands.core import AsyncScript
from redis.exceptions import RedisClusterException, RedisError

from recallr_litellm.errors import StateUnavailable
from recallr_litellm.stores.state.connection import Link, connect
from recallr_litellm.stores.state.lua import Scripts


class RedisCaller:
    """Base of the two halves of the state store: opens it, closes it, calls it."""

    def __init__(self, link: Link, *, timeout_seconds: float) -> None:
        self._link = link
        self._client = link.client
        self._scripts = Scripts.of(link.client)
        self._timeout = timeout_seconds

    @classmethod
    def from_url(cls, url: str, *, timeout_seconds: float) -> Self:
        """A store on this Redis (forms of URLs: `RedisUrl.parse`). Connects when first used.

        `timeout_seconds` bounds each round trip, a wait for a free connection and one reconnection included.

        Raises:
            ConfigurationError: the URL cannot be understood.
        """
        return cls(connect(url, timeout_seconds=timeout_seconds), timeout_seconds=timeout_seconds)

    async def ping(self) -> None:
        """Return if Redis answers."""
        async with self._reaching():
            await self._client.ping()

    async def close(self) -> None:
        """Close all connections."""
        async with self._reaching():
            await self._link.close()

    async def _run(self, script: AsyncScript, names: list[str], *arguments: str | bytes | float | None) -> Any:
        """Run a script on these keys. An argument of None arrives as the empty string: Redis has no null."""
        async with self._reaching():
            return await script(keys=names, args=["" if value is None else value for value in arguments])

    @asynccontextmanager
    async def _reaching(self) -> AsyncIterator[None]:
        """Bounds how long Redis is waited for, and turns whatever goes wrong into `StateUnavailable`."""
        try:
            async with asyncio.timeout(self._timeout):
                yield
        # OSError: asyncio's TimeoutError too. AttributeError: redis-py's, when another call on a fresh cluster client
        # has just closed the connection that this one writes to.
        except (RedisError, RedisClusterException, OSError, AttributeError) as error:
            problem = str(error) or f"no answer within {self._timeout:g} s"
            raise StateUnavailable(f"Redis at {self._link.address}: {type(error).__name__}: {problem}") from error
