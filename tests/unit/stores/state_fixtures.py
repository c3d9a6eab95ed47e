"""Fixtures of the tests of the state store; a test module names this one in `pytest_plugins`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
import redis

from recallr_litellm.stores.state import EmbeddedValkey, StateStore
from tests.unit.stores.state_kit import ANA, BEN, Everything
from tests.unit.stores.state_servers import REDIS_SERVER, ClusterNode, DebianRedis, cluster


@pytest.fixture(scope="session")
def embedded_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    server = EmbeddedValkey(tmp_path_factory.mktemp("embedded") / "valkey")
    yield server.start()
    server.stop()


@pytest.fixture(scope="session")
def cluster_nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[ClusterNode]]:
    with cluster(tmp_path_factory.mktemp("cluster")) as nodes:
        yield nodes


@pytest.fixture(scope="session")
def debian_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DebianRedis]:
    with DebianRedis(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture(params=["embedded", "cluster", *(["redis-server"] if REDIS_SERVER else [])])
def state_url(request: pytest.FixtureRequest) -> str:
    """The URL of an empty Redis: the embedded Valkey, a cluster of three, and Debian's server where there is one."""
    match request.param:
        case "embedded":
            url: str = request.getfixturevalue("embedded_url")
            plain = [url]
        case "cluster":
            nodes: list[ClusterNode] = request.getfixturevalue("cluster_nodes")
            plain = [node.url for node in nodes]
            url = "redis+cluster://" + ",".join(f"127.0.0.1:{node.port}" for node in nodes)
        case _:
            url = request.getfixturevalue("debian_redis").url
            plain = [url]
    for one in plain:
        with redis.Redis.from_url(one) as client:
            client.flushall()
    return url


@pytest.fixture
async def store(state_url: str) -> AsyncIterator[StateStore]:
    """A store on an empty Redis that knows Ana and Ben."""
    store = StateStore.from_url(state_url, timeout_seconds=60)
    await store.remember_user(ANA)
    await store.remember_user(BEN)
    yield store
    await store.close()


@pytest.fixture
def everything(state_url: str) -> Iterator[Everything]:
    """A plain client, to look at what is really there."""
    kind = redis.RedisCluster if "+cluster" in state_url else redis.Redis
    with kind.from_url(state_url.replace("+cluster", "").split(",")[0], decode_responses=True) as client:
        yield client
