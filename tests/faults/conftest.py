"""A gateway whose stores are processes that the tests may kill, freeze and slow down."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.observe import Kept, owner_of, remembered, server, wait_until_sound
from tests.support.provider import Provider, ThreadedProvider
from tests.support.proxy import Proxy
from tests.support.qdrant_server import QdrantServer
from tests.support.redis_server import RedisServer
from tests.support.relay import Relay


@dataclass
class OnServers:
    """A gateway with Redis and Qdrant as separate processes, each behind a relay."""

    proxy: Proxy
    redis: RedisServer
    redis_relay: Relay
    qdrant: QdrantServer
    qdrant_relay: Relay

    def remembered(self, *users: str) -> list[Kept]:
        """What Qdrant holds of these users."""
        return remembered(server(self.qdrant.url), [owner_of(user) for user in users])


@pytest.fixture(scope="session")
def _on_servers(running_provider: ThreadedProvider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OnServers]:
    folder: Path = tmp_path_factory.mktemp("on-servers")
    with (
        RedisServer(folder / "redis") as redis,
        Relay(redis.port) as redis_relay,
        QdrantServer(folder / "qdrant") as qdrant,
        Relay(qdrant.port) as qdrant_relay,
        Proxy(
            folder / "proxy",
            running_provider,
            redis_url=f"redis://{redis_relay.address}/0",
            qdrant_url=f"http://{qdrant_relay.address}",
            settings={
                "RECALLR_LEASE_SECONDS": "2",
                "RECALLR_MAX_PROCESSING_ATTEMPTS": "1",  # an outage that counted as an attempt would be seen
                "RECALLR_DEADLINE_MS_BALANCED": "4000",  # a request that meets a Qdrant that hangs waits as long
                "RECALLR_STORE_TIMEOUT_MS": "3000",
            },
        ) as proxy,
    ):
        proxy.ask("first", "Hello.")  # for which LiteLLM imports more of itself, which takes seconds
        yield OnServers(proxy, redis, redis_relay, qdrant, qdrant_relay)


@pytest.fixture
def gateway(_on_servers: OnServers, provider: Provider) -> Iterator[OnServers]:
    """With both stores sound, at the beginning of a test and after it."""
    wait_until_sound(_on_servers.proxy)
    yield _on_servers
    _on_servers.redis_relay.delay, _on_servers.qdrant_relay.refuse = 0.0, None
    for store in (_on_servers.redis, _on_servers.qdrant):
        if not store.running:
            store.start()
        store.thaw()
    wait_until_sound(_on_servers.proxy)
