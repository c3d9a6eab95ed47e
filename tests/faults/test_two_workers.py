"""Two gateways on the same Redis and Qdrant are one: a user may talk to either, and what one leaves undone when it is
killed, the other takes over. That a session is processed by one of them: unit/stores/test_state_queue.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.support.observe import (
    assert_once,
    client,
    in_motion,
    leased,
    metric,
    owner_of,
    remembered,
    server,
    wait_until_processed,
    wait_until_sound,
)
from tests.support.provider import Provider, ThreadedProvider
from tests.support.proxy import PROJECT, Proxy
from tests.support.qdrant_server import QdrantServer
from tests.support.redis_server import RedisServer
from tests.support.traffic import answer_to
from tests.support.waiting import eventually

LONG_TEXT = " ".join(
    f"In chapter {number} the crew sails past the island, counts its {number} lighthouses and writes home about them."
    for number in range(150)
)
"""Takes seconds to embed: long enough to be killed in the middle of it."""


@dataclass
class Cluster:
    """Two gateways and what they share."""

    first: Proxy
    second: Proxy
    redis: RedisServer
    qdrant: QdrantServer

    @property
    def both(self) -> tuple[Proxy, Proxy]:
        return self.first, self.second


@pytest.fixture(scope="module")
def _cluster(running_provider: ThreadedProvider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    folder: Path = tmp_path_factory.mktemp("two-workers")
    with RedisServer(folder / "redis") as redis, QdrantServer(folder / "qdrant") as qdrant:
        settings = {"RECALLR_LEASE_SECONDS": "10"}
        first, second = (
            Proxy(folder / name, running_provider, redis_url=redis.url, qdrant_url=qdrant.url, settings=settings)
            for name in ("first", "second")
        )
        with first, second:
            yield Cluster(first, second, redis, qdrant)


@pytest.fixture
def cluster(_cluster: Cluster, provider: Provider) -> Cluster:
    for proxy in _cluster.both:
        wait_until_sound(proxy)
    return _cluster


def test_a_user_who_alternates_between_gateways_has_one_session(
    cluster: Cluster, provider: Provider, user: str
) -> None:
    said = [f"Message {number}." for number in range(6)]
    replies = [cluster.both[number % 2].ask(user, text) for number, text in enumerate(said)]

    assert len({reply.session_id for reply in replies}) == 1, "each gateway has opened a session of its own"
    kept = in_motion(cluster.redis.url, owner_of(user))
    assert [one.text for one in kept] == [text for one in said for text in (one, answer_to(one))]
    shown = provider.last.user_text
    assert all(text in shown for text in said[:5]), "one gateway does not show the model what the other has stored"


def test_what_one_gateway_was_processing_when_it_was_killed_the_other_takes_over(
    cluster: Cluster, provider: Provider, user: str
) -> None:
    _process_what_others_left(cluster)
    second_before = metric(cluster.second, "recallr_sessions_total", outcome="processed")
    cluster.second.freeze()  # so that it is the first which claims the session
    try:
        cluster.first.ask(user, LONG_TEXT, session_timeout_seconds=1)
        [key] = eventually(lambda: leased(cluster.redis.url), "the first gateway has claimed the session")
        cluster.first.kill()
    finally:
        cluster.second.thaw()
    with client(cluster.redis.url) as connection:
        assert connection.exists(key), "the session was finished before the kill: the test did not show anything"

    wait_until_processed(cluster.redis.url)
    assert metric(cluster.second, "recallr_sessions_total", outcome="processed") - second_before == 1, (
        "the session is gone, but the gateway that lives has not processed it"
    )
    kept = remembered(server(cluster.qdrant.url), [owner_of(user)])
    assert_once(kept, expected=[LONG_TEXT, answer_to(LONG_TEXT)])
    cluster.second.ask(user, "How many lighthouses did the crew count?")
    assert "lighthouses" in provider.last.user_text.removesuffix("How many lighthouses did the crew count?")
    cluster.first.start()


def _process_what_others_left(cluster: Cluster) -> None:
    """Sessions of other tests must not be among those that are counted."""
    with client(cluster.redis.url) as connection:
        connection.flushall()
    for proxy in cluster.both:
        wait_until_sound(proxy)


def test_a_key_made_at_one_gateway_opens_the_other_until_it_is_revoked(cluster: Cluster, user: str) -> None:
    keys = f"{cluster.first.url}/api/v1/admin/projects/{PROJECT}/keys"
    admin = {"headers": {"Authorization": f"Bearer {cluster.first.master_key}"}, "trust_env": False, "timeout": 60.0}
    made = httpx.post(keys, json={"name": "laptop"}, **admin).json()

    def opens() -> bool:
        headers = cluster.second.headers(None, api_key=made["api_key"])
        url = f"{cluster.second.url}/api/v1/system-prompt"
        return httpx.get(url, headers=headers, trust_env=False, timeout=60.0).status_code == 200

    eventually(opens, "the second gateway accepts the key", timeout=20)
    assert cluster.second.ask(user, "Hello.", api_key=made["api_key"]).session_id
    assert httpx.delete(f"{keys}/{made['key_id']}", **admin).json()["revoked_at"]
    eventually(lambda: not opens(), "the second gateway refuses the key", timeout=20)
