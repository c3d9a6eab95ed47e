"""Everything that can happen between the gateway and Reconify: what was queued arrives, each message is accepted once,
in order within its session, and dead letters are exactly what the endpoint refused.

The sending process is a real one (`ReconifyWorker`), so that it can be killed; the outbox is in a Valkey server.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import redis

from recallr_litellm.core.owner import Owner
from recallr_litellm.delivery.outbox import Outbox
from recallr_litellm.delivery.records import OutboxStatus
from recallr_litellm.reconify.service import Reconify
from recallr_litellm.reconify.settings import ReconifySettings, load_reconify_settings
from recallr_litellm.reconify.wire import encoded
from recallr_litellm.stores.circuit_breaker import CircuitBreaker
from recallr_litellm.stores.state import keys
from recallr_litellm.tasks import InFlight, end
from tests.conftest import StartProxy
from tests.support.reconify_endpoint import (
    BROKEN,
    CUT,
    OK,
    ReconifyEndpoint,
)
from tests.support.reconify_worker import ReconifyWorker
from tests.support.redis_server import RedisServer
from tests.support.traffic import Traffic
from tests.support.waiting import eventually
from tests.unit.stores.state_kit import ANA, BEN

SETTINGS = {
    "RECONIFY_TIMEOUT_SECONDS": "1",
    "RECONIFY_MAX_PAUSE_SECONDS": "0.3",
    "RECONIFY_MAX_ATTEMPTS": "50",
}


@pytest.fixture(scope="module")
def running_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with RedisServer(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
def redis_url(running_redis: RedisServer) -> str:
    with redis.Redis.from_url(running_redis.url) as client:
        client.flushall()
    return running_redis.url


@pytest.fixture
def endpoint() -> Iterator[ReconifyEndpoint]:
    with ReconifyEndpoint() as endpoint:
        yield endpoint


@pytest.fixture
def worker(tmp_path: Path, redis_url: str, endpoint: ReconifyEndpoint) -> Iterator[ReconifyWorker]:
    """A sending process, not started yet."""
    worker = ReconifyWorker(tmp_path, redis_url, {**endpoint.settings, **SETTINGS})
    yield worker
    worker.stop()


def queue(redis_url: str, *, sessions: int, each: int, prefix: str = "s") -> dict[str, list[str]]:
    """Queue payloads of so many sessions, in turns; session → message ids in their order."""
    added: dict[str, list[str]] = {f"{prefix}{number}": [] for number in range(sessions)}

    async def add() -> None:
        outbox = Outbox.open(redis_url, keys.RECONIFY, ReconifySettings().limits, timeout_seconds=30)
        await outbox.probe()
        for number in range(each):
            for session, ids in added.items():
                ids.append(f"{session}-{number}")
            rows = [(session, ids[-1]) for session, ids in added.items()]
            for start in range(0, len(rows), 50):
                await asyncio.gather(*(outbox.add(ANA, *row, body(*row)) for row in rows[start : start + 50]))
        await outbox.close()

    asyncio.run(add())
    return added


def body(session: str, message_id: str) -> bytes:
    reconify = {"format": "openai", "type": "chat", "version": "1.0.0"}
    request = {"model": "m", "messages": [{"role": "user", "content": f"{message_id} " + "x" * 500}]}
    return encoded({"reconify": reconify, "session": session, "request": request, "response": {"id": message_id}})


def look(redis_url: str) -> tuple[OutboxStatus, list[str]]:
    """What the outbox holds, and the message ids of its dead letters."""

    async def ask() -> tuple[OutboxStatus, list[str]]:
        outbox = Outbox.open(redis_url, keys.RECONIFY, ReconifySettings().limits, timeout_seconds=30)
        try:
            return await outbox.status(), [letter.message_id async for letter in outbox.dead()]
        finally:
            await outbox.close()

    return asyncio.run(ask())


def wait_until_empty(redis_url: str) -> list[str]:
    """Wait until nothing is queued; the message ids of the dead letters."""
    eventually(lambda: look(redis_url)[0].queued, "the outbox is empty", until=lambda queued: queued == 0, timeout=600)
    return look(redis_url)[1]


def wait_for_tries(endpoint: ReconifyEndpoint, more: int) -> None:
    """Wait until so many more requests have come."""
    enough = len(endpoint.posted) + more
    eventually(lambda: len(endpoint.posted) >= enough, f"{more} more requests come to the endpoint")


def assert_all_arrived(endpoint: ReconifyEndpoint, added: dict[str, list[str]]) -> None:
    missing = {session: ids for session, ids in added.items() if set(ids) - set(endpoint.accepted.get(session, []))}
    assert not missing, f"interactions of {len(missing)} sessions never arrived, such as {next(iter(missing.items()))}"
    for session, ids in added.items():
        assert endpoint.accepted[session] == ids, f"session {session} arrived in another order, or with strangers in it"
    assert len(endpoint.accepted_ids) == sum(map(len, added.values())), "something arrived that nobody had queued"


@pytest.mark.parametrize("seed", [20261122])
def test_a_worker_killed_at_any_moment_loses_nothing(
    worker: ReconifyWorker, endpoint: ReconifyEndpoint, redis_url: str, seed: int
) -> None:
    moments = random.Random(seed)
    endpoint.answers = lambda posted: BROKEN if moments.random() < 0.02 else OK
    added = queue(redis_url, sessions=40, each=40)
    for _ in range(3):
        worker.start()
        wait_for_tries(endpoint, moments.randint(20, 300))
        worker.kill()
    assert look(redis_url)[0].queued, "everything was sent before the last kill: the test did not show anything"
    worker.start()
    assert wait_until_empty(redis_url) == []
    assert_all_arrived(endpoint, added)


def test_a_killed_gateway_reports_every_answer_that_a_client_has_seen(
    start_proxy: StartProxy, endpoint: ReconifyEndpoint, user: str
) -> None:
    endpoint.answers = lambda posted: [OK, OK, BROKEN, CUT, OK][posted.number % 5]
    settings = {**endpoint.settings, **SETTINGS, "RECONIFY_REQUEST": "client"}
    proxy = start_proxy(settings=settings)
    users = [f"{user}-{number}" for number in range(3)]
    with Traffic(proxy, users, session_timeout_seconds=600) as traffic:
        traffic.wait_for(12)
        endpoint.goes_down()
        traffic.wait_for(12)
        with traffic.pausing():
            before = traffic.answered
            proxy.kill()
            proxy.start()
            # Whether a stream still came to its end, after the last word of its answer, nobody knows.
            torn = {said.question for said in traffic.answered[len(before) :] if int(said.question.split()[1]) % 3}
        endpoint.comes_up()
        traffic.wait_for(6)

    def reported() -> dict[str, str]:
        return {posted.body["request"]["messages"][-1]["content"]: posted.message_id for posted in endpoint.posted}

    asked = [said.question for said in traffic.answered if said.question not in torn]
    eventually(
        lambda: [question for question in asked if reported().get(question) not in endpoint.accepted_ids],
        "every answered question is accepted by the endpoint",
        until=lambda missing: not missing,
    )
    questions = {message_id: question for question, message_id in reported().items()}
    pairs = {(posted.body["request"]["messages"][-1]["content"], posted.message_id) for posted in endpoint.posted}
    assert len(pairs) == len(reported()), "one interaction was reported under two message ids"
    assert len(endpoint.accepted_ids) >= len(asked)
    for session, ids in endpoint.accepted.items():
        numbers = [int(questions[message_id].split()[1]) for message_id in ids]
        assert numbers == sorted(numbers), f"the interactions of session {session} arrived out of order"
    assert endpoint.repeats, "nothing was sent twice: the test did not show that a repeat can be recognised"


@asynccontextmanager
async def reporting(
    monkeypatch: pytest.MonkeyPatch, endpoint: ReconifyEndpoint, url: str, *, capacity: int = 10
) -> AsyncIterator[tuple[Reconify, Outbox, CircuitBreaker]]:
    """What a gateway reports with; its breaker has not asked Redis yet, so that interactions are held."""
    for name, value in {**endpoint.settings, **SETTINGS}.items():
        monkeypatch.setenv(name, value)
    settings = load_reconify_settings()
    outbox = Outbox.open(url, keys.RECONIFY, settings.limits, timeout_seconds=30)
    breaker = CircuitBreaker("redis", outbox.probe, interval=0.1, probe_timeout=60)
    reconify = Reconify(
        settings, url, breaker, timeout_seconds=30, interval=0.1, capacity=capacity, in_flight=InFlight()
    )
    yield reconify, outbox, breaker
    await reconify.close()
    await outbox.close()


async def add(reconify: Reconify, message_id: str, owner: Owner = ANA, session: str = "s1") -> bool:
    return await reconify.add(owner, session, message_id, json.loads(body(session, message_id)), within=60)


async def test_with_redis_away_interactions_are_held_and_queued_when_it_is_back(
    tmp_path: Path, endpoint: ReconifyEndpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    with RedisServer(tmp_path / "redis-that-dies") as server:
        async with reporting(monkeypatch, endpoint, server.url, capacity=4) as (reconify, _, breaker):
            assert await breaker.probe()
            assert await add(reconify, "m0"), "with Redis there, an interaction is only held"
            await asyncio.to_thread(server.kill)
            assert [await add(reconify, f"m{number}") for number in range(1, 6)] == [False] * 5
            assert reconify.held == 4, "the oldest of five has to go where there is room for four"
            await asyncio.to_thread(server.start)
            assert await breaker.probe()
            assert await add(reconify, "m6"), "Redis is back, and the interaction is only held"

            tasks = {asyncio.create_task(work()) for work in reconify.background}
            async with asyncio.timeout(120):
                while len(endpoint.accepted_ids) < 6:
                    await asyncio.sleep(0.02)
            await end(tasks)
    assert endpoint.accepted == {"s1": ["m0", "m2", "m3", "m4", "m5", "m6"]}


async def test_what_is_no_json_is_dropped_and_holds_nothing_up(
    redis_url: str, endpoint: ReconifyEndpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with reporting(monkeypatch, endpoint, redis_url) as (reconify, outbox, breaker):
        await breaker.probe()
        assert await add(reconify, "queued", session="s2")
        assert (await outbox.status()).queued == 1
        assert await reconify.add(BEN, "s1", "no json", {"reconify": {}, "x": object()}, within=60) is False


async def test_a_payload_that_redis_refuses_does_not_hold_up_the_others(
    redis_url: str, endpoint: ReconifyEndpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with reporting(monkeypatch, endpoint, redis_url) as (reconify, outbox, breaker):
        assert [await add(reconify, "held", owner) for owner in (ANA, BEN)] == [False, False]
        damaged = keys.outbox_member(ANA, "s1")
        with redis.Redis.from_url(redis_url) as client:
            client.set(keys.RECONIFY.queues(keys.outbox_bucket(damaged)) + damaged, "garbage")
        await breaker.probe()
        await reconify.flush()
        assert reconify.held == 0
        assert (await outbox.status()).queued == 1, "another user's interaction is held up, or lost"
