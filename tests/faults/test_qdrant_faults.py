"""Qdrant down at the start, killed, hung, refusing writes: every chat gets its answer and the memory that Redis
holds, ended sessions wait in Redis, and all of it is in Qdrant, once, when it is back.

One gateway serves all tests but that of the start: see conftest.py.
"""

from __future__ import annotations

import time
from pathlib import Path

from tests.conftest import StartProxy
from tests.faults.conftest import OnServers
from tests.support.observe import (
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
from tests.support.provider import Provider
from tests.support.qdrant_server import QdrantServer
from tests.support.redis_server import RedisServer
from tests.support.traffic import Traffic, answer_to
from tests.support.waiting import eventually

STORE_AWAY = "degraded; reason=store"
AWAY = {STORE_AWAY, "degraded; reason=timeout"}
"""What may be said by the request that finds out that Qdrant is away."""

WRITES = b"PUT /collections/"
"""Begins every request that writes points, and no search."""


def test_while_qdrant_is_down_chats_have_what_redis_holds_and_ended_sessions_wait(
    gateway: OnServers, provider: Provider, user: str
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


def test_a_qdrant_that_hangs_holds_up_no_chat_and_no_session(gateway: OnServers, provider: Provider, user: str) -> None:
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
    assert_once(gateway.remembered(*traffic.users), expected=traffic.expected)


def test_qdrant_killed_in_the_middle_of_traffic_and_processing_costs_nothing(gateway: OnServers, user: str) -> None:
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
    assert_once(gateway.remembered(*traffic.users), expected=traffic.expected)


def test_a_qdrant_that_can_only_be_read_is_seen_and_costs_no_session_an_attempt(
    gateway: OnServers, provider: Provider, user: str
) -> None:
    """As with a full disk: memory is recalled, and what has ended waits to be written."""
    before, during = "My bicycle is orange.", "My bicycle is called Ottokar."
    gateway.proxy.ask(user, before, session_timeout_seconds=1)
    wait_until_processed(gateway.redis.url, owner_of(user))

    gateway.qdrant_relay.refuse = WRITES
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

    gateway.qdrant_relay.refuse = None
    wait_until_sound(gateway.proxy)
    wait_until_processed(gateway.redis.url, owner_of(user))
    said = (before, during, "What of my bicycle?")
    assert_once(gateway.remembered(user), expected=[text for one in said for text in (one, answer_to(one))])


def test_a_gateway_that_starts_without_qdrant_serves_and_recovers(
    start_proxy: StartProxy, gateway: OnServers, provider: Provider, user: str, tmp_path: Path
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
