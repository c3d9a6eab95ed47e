"""A Redis client for a URL: one server, a Cluster, or the master that Sentinels name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import redis
from redis.asyncio import Connection, ConnectionPool, Redis, RedisCluster, Sentinel, SSLConnection
from redis.asyncio.cluster import ClusterNode
from redis.asyncio.connection import UnixDomainSocketConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from recallr_litellm.errors import ConfigurationError
from recallr_litellm.stores.state.url import RedisUrl, Topology

Client = Redis | RedisCluster

MAX_CONNECTIONS: Final = 64
"""Maximum number of calls at once, and so of connections to one server. `RedisCaller` lets further calls wait."""

_TOPOLOGY_CONNECTIONS: Final = 8
"""Connections to a cluster node beyond those of calls: the client reads the topology again after a failure."""


@dataclass(frozen=True, slots=True)
class Link:
    """An open client and what has to be known about it."""

    client: Client
    address: str
    """Where it leads, without credentials and options: fit for logs and errors."""
    sentinels: tuple[Redis, ...] = ()

    async def close(self) -> None:
        """Close all connections."""
        for client in (self.client, *self.sentinels):
            await client.aclose()


def connect(url: str, *, timeout_seconds: float) -> Link:
    """A client for the URL (see `RedisUrl.parse`). Nothing is sent yet.

    `timeout_seconds` bounds connecting. Whole calls are bounded by `RedisCaller`: to bound each write and read as well
    takes redis-py a task for each write, a quarter of the time of a call. A broken connection is opened anew once, at
    once; nothing else is tried again. The query of the URL takes redis-py's arguments
    (`ssl_ca_certs`, `socket_timeout`, …) and, for Sentinels with a password of their own,
    `sentinel_username` and `sentinel_password`.

    Raises:
        ConfigurationError: the URL cannot be understood. The message never quotes it.
    """
    target = RedisUrl.parse(url)
    options: dict[str, Any] = {
        "socket_timeout": None,
        "socket_connect_timeout": timeout_seconds,
        "protocol": 2,
        **target.options,
        "decode_responses": True,
        # Half of a surrogate pair, which JSON of clients may hold, comes back as it went.
        "encoding_errors": "surrogatepass",
        "retry": Retry(NoBackoff(), 1, supported_errors=(redis.ConnectionError,)),
    }
    try:
        match target.topology:
            case Topology.SINGLE:
                return _single(target, options)
            case Topology.CLUSTER:
                return _cluster(target, options)
            case Topology.SENTINEL:
                return _by_sentinels(target, options)
    except TypeError:
        raise ConfigurationError("RECALLR_REDIS_URL: an argument after `?` is none of redis-py's") from None


def _single(target: RedisUrl, options: dict[str, Any]) -> Link:
    kind: type[Connection | UnixDomainSocketConnection] = SSLConnection if target.tls else Connection
    if target.nodes:
        options |= dict(zip(("host", "port"), target.nodes[0], strict=True))
    else:
        kind = UnixDomainSocketConnection
    pool = ConnectionPool(connection_class=kind, max_connections=MAX_CONNECTIONS, **options)
    # Neither opened nor kept: it shows wrong options now rather than at the first request.
    pool.make_connection()  # type: ignore[no-untyped-call]
    return Link(Redis.from_pool(pool), target.address)


def _cluster(target: RedisUrl, options: dict[str, Any]) -> Link:
    client = RedisCluster(
        startup_nodes=[ClusterNode(host, port) for host, port in target.nodes],
        max_connections=MAX_CONNECTIONS + _TOPOLOGY_CONNECTIONS,
        ssl=target.tls,
        **options,
    )
    return Link(client, target.address)


def _by_sentinels(target: RedisUrl, options: dict[str, Any]) -> Link:
    own = {name: options.pop(f"sentinel_{name}") for name in ("username", "password") if f"sentinel_{name}" in options}
    shared = {name: value for name, value in options.items() if name not in {"username", "password", "db"}}
    for_sentinels = {**shared, **own, "ssl": target.tls}
    manager = Sentinel(target.nodes, sentinel_kwargs=for_sentinels, **options)  # type: ignore[no-untyped-call]
    client = manager.master_for(target.service, max_connections=MAX_CONNECTIONS, ssl=target.tls)
    return Link(client, f"{target.service} of {target.address}", tuple(manager.sentinels))
