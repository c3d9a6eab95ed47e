"""Calls to Redis: bounded in number and time, with two kinds of error."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Self

from redis.asyncio import RedisCluster
from redis.commands.core import AsyncScript
from redis.exceptions import (
    ClusterDownError,
    DataError,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisClusterException,
    RedisError,
    ResponseError,
)

from recallr_litellm.errors import StateRefused, StateUnavailable
from recallr_litellm.stores.state import keys
from recallr_litellm.stores.state.connection import MAX_CONNECTIONS, Link, connect
from recallr_litellm.stores.state.lua import Scripts

_PROBE = "return redis.call('SET', KEYS[1], '1', 'EX', 60)"


class RedisCaller:
    """Base of the two halves of the state store: opens it, closes it, calls it."""

    def __init__(self, link: Link, *, timeout_seconds: float) -> None:
        self._link = link
        self._client = link.client
        self._scripts = Scripts.of(link.client)
        self._timeout = timeout_seconds
        # redis-py's cluster client fails a call for which no connection is free, so calls wait here instead.
        self._slots = asyncio.Semaphore(MAX_CONNECTIONS)

    @classmethod
    def from_url(cls, url: str, *, timeout_seconds: float) -> Self:
        """A store on this Redis (forms of URLs: `RedisUrl.parse`). Connects when first used.

        `timeout_seconds` bounds each round trip, including a wait for a free connection and one reconnection.

        Raises:
            ConfigurationError: the URL cannot be understood.
        """
        return cls(connect(url, timeout_seconds=timeout_seconds), timeout_seconds=timeout_seconds)

    @property
    def link(self) -> Link:
        """For another store on the same connections."""
        return self._link

    async def probe(self) -> None:
        """Return if Redis takes writes: a server that is out of memory or read-only still answers PING.

        By a script, as nearly all writes of the plugin; in a cluster, on each primary that has keys of ours.
        """
        async with self._reaching():
            probes = [keys.probe(0)]
            if isinstance(self._client, RedisCluster):
                await self._client.initialize()
                of_buckets = map(keys.probe, range(keys.BUCKETS))
                probes = list({self._client.get_node_from_key(key): key for key in of_buckets}.values())
            await asyncio.gather(*(self._client.eval(_PROBE, 1, key) for key in probes))

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
        """Bound the calls at once and the time of each; raise `StateUnavailable` or `StateRefused` on failure."""
        try:
            async with asyncio.timeout(self._timeout), self._slots:
                yield
        # OSError: asyncio's TimeoutError too. AttributeError: redis-py's, when another call on a fresh cluster client
        # has just closed the connection that this one writes to.
        except (RedisError, RedisClusterException, OSError, AttributeError) as error:
            problem = str(error) or f"no answer within {self._timeout:g} s"
            kind = StateUnavailable if is_outage(error) else StateRefused
            raise kind(f"Redis at {self._link.address}: {type(error).__name__}: {problem}") from error


_REFUSES_EVERYBODY = re.compile(
    # Redis 6.2 wraps the error of a command in a script: "ERR Error running script (…): @user_script: 1: -OOM …"
    r"(?:^|-)(?:READONLY|OOM|MISCONF|LOADING|MASTERDOWN|CLUSTERDOWN|NOAUTH|NOPERM|NOREPLICAS|BUSY) "
)
"""Error codes by which Redis refuses everybody. NOPERM, NOREPLICAS and BUSY are among them because they depend on the
server's configuration or load, never on what a user has stored."""


def is_outage(error: Exception) -> bool:
    """Whether the error concerns everybody, not just the keys of this call."""
    if not isinstance(error, ResponseError):
        return not isinstance(error, DataError)
    outages = (OutOfMemoryError, ReadOnlyError, NoPermissionError, ClusterDownError)
    return isinstance(error, outages) or _REFUSES_EVERYBODY.search(str(error)) is not None
