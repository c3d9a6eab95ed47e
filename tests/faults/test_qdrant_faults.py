"""Qdrant down at the start, killed, hung, refusing writes: every chat gets its answer and the memory that Redis
holds, ended sessions wait in Redis, and all of it is in Qdrant, once, when it is back.

Qdrant is a process behind a relay that can refuse what is written. One gateway serves all tests but that of the
start. It gives a session up after one failure of its own, so that an outage which counted as one would be seen.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import StartProxy
from tests.support.observe import (
    Kept,
    assert_once,
    attempts,
    failed,
    faults,
    in_motion,
    leased,
    owner_of,
    remembered,
    server,
    wait_until_noticed,
    wait_until_processed,
    wait_until_sound,
)
from tests.support.provider import Provider, ThreadedProvider
from tests.support.proxy import Proxy
from tests.support.qdrant_server import QdrantServer
from tests.support.redis_server import RedisServer
from tests.support.relay import Relay
from tests.support.traffic import Traffic, answer_to
from tests.support.waiting import eventually

STORE_AWAY = "degraded; reason=store"
AWAY = {STORE_AWAY, "degraded; reason=timeout"}
"""What may be said by the request that finds out that Qdrant is away."""

WRITES = b"PUT /collections/"
"""Begins every request that writes points, and no search."""


class Gateway:
    """A gateway with its two stores as separate processes, Qdrant behind a relay."""

    def __init__(self, proxy: Proxy, redis: RedisServer, relay: Relay, qdrant: QdrantServer) -> None:
        self.proxy = proxy
        self.redis = redis
        self.relay = relay
        self.qdrant = qdrant

    def remembered(self, *users: str) -> list[Kept]:
        return remembered(server(self.qdrant.url), [owner_of(user) for user in users])


@pytest.fixture(scope="module")
def _gateway(running_provider: ThreadedProvider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    folder: Path = tmp_path_factory.mktemp("qdrant-faults")
    with (
        RedisServer(folder / "redis") as redis,
        QdrantServer(folder / "qdrant") as qdrant,
        Relay(qdrant.port) as relay,
        Proxy(
            folder / "proxy",
            running_provider,
            redis_url=redis.url,
            qdrant_url=f"http://{relay.address}",
            settings={
                "RECALLR_LEASE_SECONDS": "2",
                "RECALLR_MAX_PROCESSING_ATTEMPTS": "1",
                "RECALLR_DEADLINE_MS_BALANCED": "4000",  # a request that meets a Qdrant that hangs waits as long
                "RECALLR_STORE_TIMEOUT_MS": "2000",
            },
        ) as proxy,
    ):
        yield Gateway(proxy, redis, relay, qdrant)


@pytest.fixture
def gateway(_gateway: Gateway, provider: Provider) -> Iterator[Gateway]:
    """With both stores sound, at the beginning of a test and after it."""
    wait_until_sound(_gateway.proxy)
    yield _gateway
    _gateway.relay.refuse = None
    if not _gateway.qdrant.running:
        _gateway.qdrant.start()
    _gateway.qdrant.thaw()
    wait_until_sound(_gateway.proxy)


def test_while_qdrant_is_down_chats_have_what_redis_holds_and_ended_sessions_wait(
    gateway: Gateway, provider: Provider, user: str
) -> None:
    before, during, question = "My bicycle is orange.", "My bicycle is called Ottokar.", "What of my bicycle?"
    gateway.proxy.ask(user, before, session_timeout_seconds=1)
    wait_until_processed(gateway.redis.url, owner_of(user))

    gateway.qdrant.kill()
    wait_until_noticed(gateway.proxy, "qdrant")
    told = gateway.proxy.ask(user, during, session_timeout_seconds=1)
    time.sleep(1.2)  # longer than the session's timeout
    asked = gateway.proxy.ask(user, question, session_timeout_seconds=1)

    assert asked.session_id != told.session_id
    assert told.text == answer_to(during)
    assert (told.memory_status, asked.memory_status) == (STORE_AWAY, STORE_AWAY)
    assert during in provider.last.user_text, "the session that waits to be processed was not shown to the model"
    assert before not in provider.last.user_text, "Qdrant is away: how can this be known?"
    waiting = {one.session for one in in_motion(gateway.redis.url, owner_of(user))}
    assert told.session_id in waiting, "a session went out of Redis although Qdrant is away"

    gateway.qdrant.start()
    wait_until_sound(gateway.proxy)
    wait_until_processed(gateway.redis.url, owner_of(user))
    expected = [text for one in (before, during, question) for text in (one, answer_to(one))]
    assert_once(gateway.remembered(user), expected=expected)
    again = gateway.proxy.ask(user, "And what of my bicycle?")
    assert again.memory_status == "ok"
    assert before in provider.last.user_text
    assert during in provider.last.user_text


def test_a_qdrant_that_hangs_holds_up_no_chat_and_no_session(gateway: Gateway, provider: Provider, user: str) -> None:
    with Traffic(gateway.proxy, [f"{user}-1", f"{user}-2"], session_timeout_seconds=1) as traffic:
        traffic.wait_for(4)
        with traffic.pausing():
            wait_until_processed(gateway.redis.url, *traffic.owners)
        gateway.qdrant.freeze()
        traffic.wait_for(2)
        wait_until_noticed(gateway.proxy, "qdrant")
        traffic.wait_for(2)
        gateway.qdrant.thaw()
        wait_until_sound(gateway.proxy)
        traffic.wait_for(4)

    assert traffic.broken == [], "a chat got no answer while Qdrant hung"
    assert any(said.status in AWAY for said in traffic.answered), "no client was told that memory is not at work"
    assert traffic.answered[-1].status in {"ok", "empty"}, "the plugin did not recover by itself"
    wait_until_processed(gateway.redis.url, *traffic.owners)
    assert_once(remembered(server(gateway.qdrant.url), traffic.owners), expected=traffic.expected)


def test_qdrant_killed_in_the_middle_of_traffic_and_processing_costs_nothing(gateway: Gateway, user: str) -> None:
    users = [f"{user}-{number}" for number in range(3)]
    with Traffic(gateway.proxy, users, session_timeout_seconds=1) as traffic:
        for _ in range(2):
            traffic.wait_for(6)
            with traffic.pausing():
                eventually(lambda: leased(gateway.redis.url), "a session has ended and is in processing")
                gateway.qdrant.kill()
            traffic.wait_for(3)
            gateway.qdrant.start()
            wait_until_sound(gateway.proxy)

    assert traffic.broken == []
    wait_until_processed(gateway.redis.url, *traffic.owners)
    assert_once(remembered(server(gateway.qdrant.url), traffic.owners), expected=traffic.expected)


def test_a_qdrant_that_can_only_be_read_is_seen_and_costs_no_session_an_attempt(
    gateway: Gateway, provider: Provider, user: str
) -> None:
    """As with a full disk: memory is recalled, and what has ended waits to be written."""
    before, during = "My bicycle is orange.", "My bicycle is called Ottokar."
    gateway.proxy.ask(user, before, session_timeout_seconds=1)
    wait_until_processed(gateway.redis.url, owner_of(user))

    gateway.relay.refuse = WRITES
    told = gateway.proxy.ask(user, during, session_timeout_seconds=1)
    wait_until_noticed(gateway.proxy, "qdrant-writes")
    assert set(faults(gateway.proxy)) == {"qdrant-writes"}, "reading was given up too"
    asked = gateway.proxy.ask(user, "What of my bicycle?", session_timeout_seconds=1)
    assert asked.memory_status == "ok"
    assert before in provider.last.user_text
    time.sleep(3)  # longer than a session waits after an outage: it must not be tried and counted
    counted = attempts(gateway.redis.url, owner_of(user), told.session_id)
    assert counted <= 1, f"{counted} attempts count against a session that could not be written for an outage"
    assert failed(gateway.redis.url) == 0, "an outage of Qdrant counts as a failure of the session"

    gateway.relay.refuse = None
    wait_until_sound(gateway.proxy)
    wait_until_processed(gateway.redis.url, owner_of(user))
    said = (before, during, "What of my bicycle?")
    assert_once(gateway.remembered(user), expected=[text for one in said for text in (one, answer_to(one))])


def test_a_gateway_that_starts_without_qdrant_serves_and_recovers(
    start_proxy: StartProxy, gateway: Gateway, provider: Provider, user: str, tmp_path: Path
) -> None:
    late = QdrantServer(tmp_path / "qdrant")
    redis = RedisServer(tmp_path / "redis")
    said = ["My bicycle is orange.", "It is called Ottokar."]
    with redis:
        proxy = start_proxy(redis_url=redis.url, qdrant_url=late.url)
        replies = [proxy.ask(user, text, session_timeout_seconds=1) for text in said]
        assert [reply.text for reply in replies] == [answer_to(text) for text in said]
        assert {reply.memory_status for reply in replies} == {STORE_AWAY}

        with late:
            wait_until_sound(proxy)
            wait_until_processed(redis.url, owner_of(user))
            kept = remembered(server(late.url), [owner_of(user)])
            assert_once(kept, expected=[text for one in said for text in (one, answer_to(one))])
            assert proxy.ask(user, "What of my bicycle?").memory_status == "ok"
            assert said[0] in provider.last.user_text
