"""Reading a Redis URL, in whose errors no piece of it ever stands: any piece may be a password."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, Self
from urllib.parse import SplitResult, urlsplit

from redis.asyncio.connection import parse_url

from recallr_litellm.errors import ConfigurationError

_SCHEMES: Final = "redis://, rediss://, unix://, redis+cluster://, redis+sentinel:// (with TLS: rediss+…)"
_ENCODE: Final = "special characters of a password have to be percent-encoded"


class Topology(StrEnum):
    """How the master of a key is found."""

    SINGLE = ""
    CLUSTER = "cluster"
    SENTINEL = "sentinel"


@dataclass(frozen=True, slots=True)
class RedisUrl:
    """A Redis URL, taken apart."""

    topology: Topology
    nodes: tuple[tuple[str, int], ...]
    """Host and port of each node or Sentinel; empty for a Unix socket."""
    service: str
    """What the Sentinels call the master; empty for the others."""
    tls: bool
    options: dict[str, Any]
    """redis-py's keyword arguments: credentials, `db`, `path` and what stood in the query."""
    address: str
    """Where it leads, without credentials and options: fit for logs and errors."""

    @classmethod
    def parse(cls, url: str) -> Self:
        """Read a URL of one of these forms, each with an optional `user:password@` and `?option=value`:

            redis://host:port/db   rediss://…   unix:///path/to/socket
            redis+cluster://host:port,host:port
            redis+sentinel://host:port,host:port/service/db

        Raises:
            ConfigurationError: the URL has no such form. The message never quotes it.
        """
        try:
            parts = urlsplit(url)
            scheme, _, topology = parts.scheme.partition("+")
            if scheme == "unix" and not topology:
                return cls._unix(parts)
            if scheme in {"redis", "rediss"} and topology in set(Topology):
                return cls._tcp(parts, scheme, Topology(topology))
        except ValueError:  # of urllib or redis-py, whose texts quote the URL
            raise _wrong(_ENCODE) from None
        raise _wrong(f"the scheme is none of {_SCHEMES}")

    @classmethod
    def _unix(cls, parts: SplitResult) -> Self:
        options: dict[str, Any] = dict(parse_url(parts.geturl()))
        options.pop("connection_class")
        if "path" not in options:
            raise _wrong("unix:// needs a path")
        return cls(Topology.SINGLE, (), "", tls=False, options=options, address=options["path"])

    @classmethod
    def _tcp(cls, parts: SplitResult, scheme: str, topology: Topology) -> Self:
        credentials, at, places = parts.netloc.rpartition("@")
        service, database = "", parts.path.removeprefix("/")
        if topology is Topology.SENTINEL:
            service, _, database = database.partition("/")
            if not service:
                raise _wrong("redis+sentinel:// needs a service: redis+sentinel://host:26379,host:26379/service")
        # A password with a bare `/` or `#` ends the host early. redis-py would ignore the rest and connect elsewhere.
        if (database and not database.isdecimal()) or parts.fragment:
            raise _wrong(f"what follows the host is no database number; {_ENCODE}")
        if topology is Topology.CLUSTER and int(database or 0):
            raise _wrong("a cluster has no database but 0")
        if topology is Topology.SINGLE and "," in places:
            raise _wrong("several hosts need redis+cluster:// or redis+sentinel://")

        nodes = []
        options: dict[str, Any] = {}
        for place in places.split(","):
            options = dict(parse_url(f"{scheme}://{credentials}{at}{place}/{database}?{parts.query}"))
            options.pop("connection_class", None)
            if "host" not in options:
                raise _wrong("a host is missing")
            nodes.append((options.pop("host"), options.pop("port", 26379 if service else 6379)))
        address = ",".join(f"{host}:{port}" for host, port in nodes)
        return cls(topology, tuple(nodes), service, tls=scheme == "rediss", options=options, address=address)


def _wrong(problem: str) -> ConfigurationError:
    return ConfigurationError(f"RECALLR_REDIS_URL: {problem}")
