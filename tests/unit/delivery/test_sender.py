"""Sending: order, whose fault a failure is, pauses, shutdown."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Callable, Iterator

import pytest
import redis

from recallr_litellm.delivery import sender
from recallr_litellm.delivery.circuit import Circuit
from recallr_litellm.delivery.outbox import Outbox
from recallr_litellm.delivery.sender import Destination, Sender
from recallr_litellm.metrics import RECONIFY
from recallr_litellm.reconify.client import ReconifyClient
from recallr_litellm.reconify.settings import load_reconify_settings
from recallr_litellm.reconify.wire import encoded
from recallr_litellm.stores.circuit_breaker import CircuitBreaker
from recallr_litellm.stores.state import keys
from recallr_litellm.tasks import InFlight, end
from tests.support.reconify_endpoint import BROKEN, HANGS, OK, Reaction, ReconifyEndpoint
from tests.unit.stores.state_kit import ANA

pytest_plugins = ("tests.unit.stores.state_fixtures",)

DESTINATION = Destination("Reconify", "reconify", RECONIFY)
PAUSE = 0.05
"""Longest pause between attempts, seconds."""
TIMEOUT = 30.0
"""Of one attempt, seconds; no test waits for it to end."""
PATIENCE = 120.0
"""Seconds until a test gives up."""


@pytest.fixture
def endpoint(monkeypatch: pytest.MonkeyPatch) -> Iterator[ReconifyEndpoint]:
    with ReconifyEndpoint() as endpoint:
        for name, value in endpoint.settings.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("RECONIFY_TIMEOUT_SECONDS", str(TIMEOUT))
        yield endpoint


class WatchedCircuit(Circuit):
    """Counts how often the sender has looked whether it may send more; its clock can be put forward."""

    def __init__(self, longest_pause: float) -> None:
        super().__init__(longest_pause, clock=lambda: time.monotonic() + self.ahead)
        self.looks = 0
        self.ahead = 0.0

    def room(self, sending: int, most: int) -> int:
        self.looks += 1
        return super().room(sending, most)


class Running:
    """A sender at work on an outbox of its own."""

    def __init__(self, outbox: Outbox, sender: Sender, circuit: WatchedCircuit, in_flight: InFlight) -> None:
        self.in_flight = in_flight
        self.outbox = outbox
        self.sender = sender
        self.circuit = circuit
        self._number = 0

    async def add(self, session: str, count: int = 1) -> list[str]:
        """Queue so many payloads of a session; their message ids."""
        added = []
        for _ in range(count):
            self._number += 1
            message_id = f"{session}-{self._number}"
            payload = encoded({"reconify": {}, "session": session, "number": self._number})
            await self.outbox.add(ANA, session, message_id, payload)
            added.append(message_id)
        self.sender.wake()
        return added

    async def until(self, seen: Callable[[], object], what: str) -> None:
        """Wait until it is so."""
        try:
            async with asyncio.timeout(PATIENCE):
                while not seen():
                    await asyncio.sleep(0.01)
        except TimeoutError:
            raise AssertionError(f"never happened: {what}") from None

    async def until_empty(self) -> None:
        """Wait until nothing is queued."""
        async with asyncio.timeout(PATIENCE):
            while (await self.outbox.status()).queued:
                await asyncio.sleep(0.01)

    async def dead(self) -> list[str]:
        return [letter.message_id async for letter in self.outbox.dead()]


@pytest.fixture
def redis_url(embedded_url: str) -> str:
    with redis.Redis.from_url(embedded_url) as client:
        client.flushall()
    return embedded_url


@contextlib.asynccontextmanager
async def at_work(redis_url: str, *, max_attempts: int = 3) -> AsyncIterator[Running]:
    changed = {"max_attempts": max_attempts, "timeout_seconds": TIMEOUT, "max_pause_seconds": PAUSE}
    settings = load_reconify_settings().model_copy(update=changed)
    outbox = Outbox.open(redis_url, keys.RECONIFY, settings.limits, timeout_seconds=60)
    client = ReconifyClient(settings)
    breaker = CircuitBreaker("redis", outbox.probe, probe_timeout=PATIENCE)
    await breaker.probe()
    circuit = WatchedCircuit(PAUSE)
    in_flight = InFlight()
    at_it = Sender(outbox, client, DESTINATION, circuit, breaker, in_flight, settings.limits, interval=0.02)
    work = asyncio.create_task(at_it.run())
    try:
        yield Running(outbox, at_it, circuit, in_flight)
    finally:
        await end({work})  # one cancellation is not always enough
        await at_it.release_leases()
        await client.close()
        await outbox.close()


async def test_requests_are_served_before_anything_is_sent(
    endpoint: ReconifyEndpoint, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sender, "GIVES_WAY_SECONDS", PATIENCE)
    async with at_work(redis_url) as running:
        await running.until(lambda: running.circuit.looks, "the sender is at work")
        with running.in_flight.one_more():
            added = {f"s{number}": await running.add(f"s{number}") for number in range(10)}
            looks = running.circuit.looks
            await asyncio.sleep(0.2)  # ten times as long as until it looks again
            assert running.circuit.looks <= looks + 1, "it looks for payloads while there is a request to serve"
            assert not endpoint.posted, "something is sent while there is a request to serve"
        await running.until_empty()
    assert endpoint.accepted == added


async def test_a_process_that_is_never_quiet_sends_all_the_same(
    endpoint: ReconifyEndpoint, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sender, "GIVES_WAY_SECONDS", 0.05)
    async with at_work(redis_url) as running:
        with running.in_flight.one_more():
            added = {f"s{number}": await running.add(f"s{number}", 50) for number in range(3)}
            await running.until_empty()
    assert endpoint.accepted == added


async def test_a_session_that_is_retried_keeps_its_order_and_stops_no_other(
    endpoint: ReconifyEndpoint, redis_url: str
) -> None:
    endpoint.answers = lambda posted: BROKEN if posted.session == "bad" and posted.attempt < 6 else OK
    async with at_work(redis_url, max_attempts=1000) as running:
        bad = await running.add("bad", 3)
        good = await running.add("good", 3)
        await running.until(lambda: endpoint.accepted.get("good") == good, "another session's payloads arrive")
        await running.until_empty()
    assert endpoint.accepted["bad"] == bad


async def test_a_payload_that_fails_while_others_are_accepted_becomes_a_dead_letter(
    endpoint: ReconifyEndpoint, redis_url: str
) -> None:
    endpoint.answers = lambda posted: BROKEN if posted.body["number"] == 1 else OK
    async with at_work(redis_url) as running:
        poison, after = await running.add("bad", 2)
        async with asyncio.timeout(PATIENCE):
            while poison not in await running.dead():
                await running.add("good")
                await asyncio.sleep(0.01)
        await running.until_empty()
        [letter] = [letter async for letter in running.outbox.dead()]
    assert (letter.status, letter.reason) == ("500", "broken")
    assert endpoint.accepted["bad"] == [after], "the session of a dead letter does not go on"
    tries = [posted for posted in endpoint.posted if posted.message_id == poison]
    assert len(tries) >= 3, "only failures after something was accepted count"


@pytest.mark.parametrize("reaction", [BROKEN, Reaction(429, "slow down")], ids=["500", "429"])
async def test_an_outage_makes_no_dead_letters(endpoint: ReconifyEndpoint, redis_url: str, reaction: Reaction) -> None:
    endpoint.answers = lambda posted: reaction
    async with at_work(redis_url, max_attempts=1) as running:
        added = {f"s{number}": await running.add(f"s{number}", 2) for number in range(3)}
        await running.until(lambda: len(endpoint.posted) > 20, "the endpoint is probed again and again")
        endpoint.answers = lambda posted: OK
        await running.until_empty()
        assert await running.dead() == [], "payloads were given up because the endpoint was down"
    assert endpoint.accepted == added


async def test_after_retry_after_nothing_is_sent_before_its_time(endpoint: ReconifyEndpoint, redis_url: str) -> None:
    hour = 3600
    busy = Reaction(429, "slow down", {"Retry-After": str(hour)})
    endpoint.answers = lambda posted: OK if posted.number else busy
    async with at_work(redis_url) as running:
        [first] = await running.add("first")
        await running.until(lambda: not running.circuit.is_closed, "the endpoint has asked to be left alone")
        later = {f"later{number}": await running.add(f"later{number}", 2) for number in range(5)}
        looks = running.circuit.looks
        while running.circuit.looks < looks + 3:
            running.sender.wake()
            await asyncio.sleep(0.01)
        assert len(endpoint.posted) == 1, "the endpoint asked for an hour of silence and did not get it"

        running.circuit.ahead = hour
        running.sender.wake()
        await running.until(lambda: endpoint.accepted == later, "after the hour, all others are sent")
        status = await running.outbox.status()
    assert first not in endpoint.accepted_ids, "by Redis's clock, which was not put forward, it is not due yet"
    assert status.queued == 1, "what the endpoint had no time for is lost"


async def test_what_cannot_be_read_is_a_dead_letter(endpoint: ReconifyEndpoint, redis_url: str) -> None:
    async with at_work(redis_url) as running:
        for number, damaged in enumerate(["", "{", "[]", '"text"', "null", '{"reconify": 7}']):
            await running.outbox.add(ANA, "s1", f"damaged {number}", damaged.encode())
        [after] = await running.add("s1")
        await running.until_empty()
        letters = [letter async for letter in running.outbox.dead()]
    assert len(letters) == 6, "a damaged entry keeps the rest of its session from being sent, or was sent"
    assert endpoint.accepted == {"s1": [after]}


async def test_a_payload_whose_sending_kills_the_process_each_time_is_a_dead_letter(
    endpoint: ReconifyEndpoint, redis_url: str
) -> None:
    outbox = Outbox.open(redis_url, keys.RECONIFY, load_reconify_settings().limits, timeout_seconds=60)
    await outbox.add(ANA, "s1", "deadly", encoded({"reconify": {}}))
    for _ in range(3):
        await outbox.claim(1, lease_seconds=0)
    async with at_work(redis_url, max_attempts=3) as running:
        [after] = await running.add("s1")
        await running.until_empty()
        assert await running.dead() == ["deadly"]
    await outbox.close()
    assert endpoint.accepted == {"s1": [after]}


async def test_a_shutdown_gives_back_what_it_was_sending(endpoint: ReconifyEndpoint, redis_url: str) -> None:
    endpoint.answers = lambda posted: HANGS
    async with at_work(redis_url) as running:
        [message_id] = await running.add("s1")
        await running.until(lambda: endpoint.posted, "the payload is on its way")
    outbox = Outbox.open(redis_url, keys.RECONIFY, load_reconify_settings().limits, timeout_seconds=60)
    claims = await outbox.claim(1, lease_seconds=5)
    await outbox.close()
    assert [delivery.message_id for delivery in claims] == [message_id], (
        "the next process has to wait until the lease of one that was shut down in order has ended"
    )


async def test_the_keys_are_nowhere_in_redis(
    endpoint: ReconifyEndpoint, redis_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(0)
    secrets = [endpoint.settings["RECONIFY_APP_KEY"], endpoint.settings["RECONIFY_API_KEY"]]
    endpoint.answers = lambda posted: Reaction([400, 500][posted.number % 2], f"wrong keys: {secrets}")
    async with at_work(redis_url) as running:
        for number in range(6):
            await running.add(f"s{number}")
        await running.until(lambda: len(endpoint.posted) > 8, "payloads are refused and retried")
        with redis.Redis.from_url(redis_url) as client:
            values = b"".join(client.dump(key) or b"" for key in client.scan_iter("*"))
            letters = [letter async for letter in running.outbox.dead()]
    assert letters, "no dead letter: the test did not show anything"
    assert all(letter.reason == "wrong keys: ['[key]', '[key]']" for letter in letters), letters
    for key in secrets:
        assert all(key in json.dumps(posted.body) for posted in endpoint.posted), "the keys are not sent"
        assert key.encode() not in values, "a key is in Redis"
        assert key not in caplog.text, "a key is in the log"


async def test_too_many_requests_is_never_a_payloads_fault(endpoint: ReconifyEndpoint, redis_url: str) -> None:
    endpoint.answers = lambda posted: Reaction(429) if posted.session == "often" and posted.attempt < 8 else OK
    async with at_work(redis_url, max_attempts=1) as running:
        [often] = await running.add("often")
        async with asyncio.timeout(PATIENCE):
            while often not in endpoint.accepted_ids:
                await running.add("good")
                await asyncio.sleep(0.01)
        assert await running.dead() == []
