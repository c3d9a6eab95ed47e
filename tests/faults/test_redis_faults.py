"""Redis down at the start, killed in mid-traffic, hung, slow, wiped, full, read-only: every chat gets its answer, the
client is told that memory is not at work, and what could not be written is written when Redis is back: once, in order.

One gateway serves all tests but those of the start: see conftest.py.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest
import redis as redis_py

from tests.conftest import StartProxy
from tests.faults.conftest import OnServers
from tests.support.listeners import free_port
from tests.support.observe import (
    assert_once,
    client,
    faults,
    in_motion,
    log_lines,
    metric,
    owner_of,
    wait_until_noticed,
    wait_until_processed,
    wait_until_sound,
)
from tests.support.provider import Provider
from tests.support.redis_server import RedisServer
from tests.support.traffic import Traffic, answer_to

STORE_AWAY = "degraded; reason=store"
AWAY = {STORE_AWAY, "degraded; reason=timeout"}
"""What may be said by the request that finds out that Redis is away."""


def conversation(url: str, user: str) -> list[str]:
    """What Redis holds of a user, in the order in which it was said; fails if it is not one session."""
    kept = in_motion(url, owner_of(user))
    assert len({one.session for one in kept}) <= 1, f"one conversation has become several sessions: {kept}"
    return [one.text for one in kept]


def test_with_redis_killed_every_chat_is_answered_and_stored_later_in_order(
    gateway: OnServers, provider: Provider, user: str
) -> None:
    said = [f"Message {number}." for number in range(8)]
    first = gateway.proxy.ask(user, said[0])
    assert first.memory_status == "empty"

    gateway.redis.kill()
    replies = [gateway.proxy.ask(user, text, stream=bool(number % 2)) for number, text in enumerate(said[1:7])]

    assert [reply.text for reply in replies] == [answer_to(text) for text in said[1:7]], "a chat was not answered"
    assert [reply.memory_status for reply in replies] == [STORE_AWAY] * 6, "the client was not told that memory is away"
    assert all(provider.chats(text) for text in said[1:7]), "the model was not asked what the client had asked"
    assert metric(gateway.proxy, "recallr_held_exchanges") == 6

    gateway.redis.start()
    wait_until_sound(gateway.proxy)
    last = gateway.proxy.ask(user, said[7])
    assert last.memory_status == "ok", "memory is not at work again although Redis is back"
    assert last.session_id == first.session_id
    assert conversation(gateway.redis.url, user) == [text for one in said for text in (one, answer_to(one))]


def test_redis_killed_in_the_middle_of_traffic_costs_no_answer_and_no_memory(gateway: OnServers, user: str) -> None:
    users = [f"{user}-{number}" for number in range(3)]
    with Traffic(gateway.proxy, users) as traffic:
        traffic.wait_for(6)
        gateway.redis.kill()
        traffic.wait_for(12)
        gateway.redis.start()
        wait_until_sound(gateway.proxy)
        traffic.wait_for(6)
    wait_until_sound(gateway.proxy)

    assert traffic.broken == [], "a chat got no answer while Redis was away"
    assert any(said.status in AWAY for said in traffic.answered), "no request noticed that Redis was away"
    assert traffic.answered[-1].status in {"ok", "empty"}, "the plugin did not recover by itself"
    for one in users:
        said = [text for said in traffic.answered if said.user == one for text in (said.question, said.answer)]
        assert conversation(gateway.redis.url, one) == said, "lost, doubled, or in another order than it was said"


def test_a_redis_that_hangs_holds_up_no_chat(gateway: OnServers, user: str) -> None:
    said = [f"Message {number}." for number in range(5)]
    gateway.proxy.ask(user, said[0])

    gateway.redis.freeze()
    replies = [gateway.proxy.ask(user, text, stream=bool(number % 2)) for number, text in enumerate(said[1:4])]
    wait_until_noticed(gateway.proxy, "redis")
    gateway.redis.thaw()

    assert [reply.text for reply in replies] == [answer_to(text) for text in said[1:4]], "a chat was not answered"
    assert {reply.memory_status for reply in replies} <= AWAY, "the client was not told that memory is away"
    assert log_lines(gateway.proxy.folder, "no answer within 3 s"), "RECALLR_STORE_TIMEOUT_MS is not at work"
    wait_until_sound(gateway.proxy)
    assert gateway.proxy.ask(user, said[4]).memory_status == "ok"
    # Writes that Redis had taken in but not answered were done when it went on, and then sent again: still once.
    assert conversation(gateway.redis.url, user) == [text for one in said for text in (one, answer_to(one))]


def out_of_memory(redis: redis_py.Redis) -> None:
    redis.config_set("maxmemory", 1)


def read_only(redis: redis_py.Redis) -> None:
    redis.replicaof("127.0.0.1", str(free_port()))


def back_to_normal(redis: redis_py.Redis) -> None:
    redis.config_set("maxmemory", 0)
    redis.replicaof("NO", "ONE")


@pytest.mark.parametrize("refuse_writes", [out_of_memory, read_only])
def test_a_redis_that_answers_but_takes_no_writes_is_seen_and_nothing_is_lost(
    gateway: OnServers, user: str, refuse_writes: Callable[[redis_py.Redis], None]
) -> None:
    said = [f"Message {number}." for number in range(4)]
    gateway.proxy.ask(user, said[0])
    with client(gateway.redis.url) as redis:
        refuse_writes(redis)
        try:
            replies = [gateway.proxy.ask(user, text, stream=bool(number % 2)) for number, text in enumerate(said[1:3])]
            assert [reply.text for reply in replies] == [answer_to(text) for text in said[1:3]]
            assert {reply.memory_status for reply in replies} == {STORE_AWAY}
            time.sleep(2)  # longer than the interval of the probes: they must not take PONG for an answer
            assert faults(gateway.proxy)["redis"] == "StateUnavailable"
        finally:
            back_to_normal(redis)
    wait_until_sound(gateway.proxy)
    assert gateway.proxy.ask(user, said[3]).memory_status == "ok"
    assert conversation(gateway.redis.url, user) == [text for one in said for text in (one, answer_to(one))]


def test_a_redis_that_hangs_while_the_model_answers_costs_nothing(
    gateway: OnServers, provider: Provider, user: str
) -> None:
    """The session was opened before, the exchange is to be stored after Redis stopped answering."""
    with Traffic(gateway.proxy, [user]) as traffic:
        traffic.wait_for(2)
        gateway.redis.freeze()
        traffic.wait_for(3)
        gateway.redis.thaw()
        traffic.wait_for(2)
    wait_until_sound(gateway.proxy)
    assert traffic.broken == []
    assert conversation(gateway.redis.url, user) == traffic.expected


def test_a_redis_that_is_too_slow_is_gone_without_and_a_slow_one_is_used(gateway: OnServers, user: str) -> None:
    gateway.redis_relay.delay = 0.02
    slow = gateway.proxy.ask(user, "First.")
    assert slow.memory_status == "empty", "an answer of Redis that comes a little late was not waited for"

    gateway.redis_relay.delay = 8.0
    too_slow = [gateway.proxy.ask(user, text) for text in ("Second.", "Third.")]
    assert {reply.memory_status for reply in too_slow} <= AWAY
    assert [reply.text for reply in too_slow] == [answer_to("Second."), answer_to("Third.")]

    gateway.redis_relay.delay = 0.0
    wait_until_sound(gateway.proxy)
    assert conversation(gateway.redis.url, user) == [
        text for one in ("First.", "Second.", "Third.") for text in (one, answer_to(one))
    ]


def test_a_wiped_redis_takes_nothing_that_was_processed(gateway: OnServers, provider: Provider, user: str) -> None:
    gateway.proxy.ask(user, "My bicycle is orange.", session_timeout_seconds=1)
    wait_until_processed(gateway.redis.url, owner_of(user))

    with client(gateway.redis.url) as connection:
        connection.flushall()

    reply = gateway.proxy.ask(user, "What colour is my bicycle?", allow_new_user_creation=False)
    assert reply.memory_status == "ok"
    assert "My bicycle is orange." in provider.last.user_text, "what was remembered went away with Redis"
    assert_once(gateway.remembered(user), expected=["My bicycle is orange.", answer_to("My bicycle is orange.")])


def test_a_gateway_that_starts_without_redis_serves_holds_a_bounded_number_and_recovers(
    start_proxy: StartProxy, gateway: OnServers, provider: Provider, user: str, tmp_path: Path
) -> None:
    late = RedisServer(tmp_path / "redis")
    proxy = start_proxy(redis_url=late.url, qdrant_url=gateway.qdrant.url, settings={"RECALLR_HELD_EXCHANGES": "3"})
    said = [f"Message {number}." for number in range(5)]
    replies = [proxy.ask(user, text) for text in said]

    assert [reply.text for reply in replies] == [answer_to(text) for text in said]
    assert {reply.memory_status for reply in replies} == {STORE_AWAY}
    wait_until_noticed(proxy, "redis")
    assert metric(proxy, "recallr_held_exchanges") == 3, "not as many exchanges are held as RECALLR_HELD_EXCHANGES says"
    assert metric(proxy, "recallr_exchanges_total", outcome="dropped") == 2, "a dropped exchange was not counted"
    lost = log_lines(proxy.folder, "is lost")
    assert len(lost) == 2, f"a dropped exchange was not logged: {lost}"
    assert all("RECALLR_HELD_EXCHANGES" in line for line in lost), "the log does not say which setting is at work"

    with late:
        wait_until_sound(proxy)
        assert conversation(late.url, user) == [text for one in said[2:] for text in (one, answer_to(one))]
        assert proxy.ask(user, "And now?").memory_status == "ok"
