"""Sending: order, whose fault a failure is, pauses, shutdown; and the circuit that leaves a dead endpoint alone."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Callable, Iterator
from itertools import pairwise

import pytest
import redis

from recallr_litellm.reconify.circuit import THRESHOLD, Backoff, Circuit
from recallr_litellm.reconify.client import ReconifyClient
from recallr_litellm.reconify.outbox import Outbox
from recallr_litellm.reconify.sender import AT_ONCE, Sender
from recallr_litellm.reconify.settings import load_reconify_settings
from recallr_litellm.stores.gate import Gate
from tests.support.reconify_endpoint import BROKEN, HANGS, OK, WRONG, Posted, Reaction, ReconifyEndpoint
from tests.unit.stores.state_kit import ANA

pytest_plugins = ("tests.unit.stores.state_fixtures",)

PAUSE = 0.05
"""Longest pause between attempts, seconds."""
TIMEOUT = 1.0


@pytest.fixture
def endpoint(monkeypatch: pytest.MonkeyPatch) -> Iterator[ReconifyEndpoint]:
    with ReconifyEndpoint() as endpoint:
        for name, value in endpoint.settings.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("RECONIFY_TIMEOUT_SECONDS", str(TIMEOUT))
        yield endpoint


class Running:
    """A sender at work on an outbox of its own."""

    def __init__(self, outbox: Outbox, sender: Sender) -> None:
        self.outbox = outbox
        self.sender = sender
        self._number = 0

    async def add(self, session: str, count: int = 1) -> list[str]:
        """Queue so many payloads of a session; their message ids."""
        added = []
        for _ in range(count):
            self._number += 1
            message_id = f"{session}-{self._number}"
            payload = json.dumps({"reconify": {}, "session": session, "number": self._number})
            await self.outbox.add(ANA, session, message_id, payload)
            added.append(message_id)
        self.sender.stir()
        return added

    async def until(self, seen: Callable[[], object], what: str) -> None:
        """Wait until it is so."""
        try:
            async with asyncio.timeout(20):
                while not seen():
                    await asyncio.sleep(0.01)
        except TimeoutError:
            raise AssertionError(f"never happened: {what}") from None

    async def until_empty(self) -> None:
        """Wait until nothing is queued."""
        async with asyncio.timeout(20):
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
    settings = load_reconify_settings()
    outbox = Outbox.open(redis_url, settings, timeout_seconds=20)
    client = ReconifyClient(settings)
    gate = Gate("redis", outbox.ping)
    await gate.probe()
    backoff = Backoff(PAUSE)
    sender = Sender(
        outbox,
        client,
        Circuit(backoff),
        gate,
        backoff=backoff,
        timeout_seconds=TIMEOUT,
        interval=0.02,
        max_attempts=max_attempts,
    )
    work = asyncio.create_task(sender.run())
    try:
        yield Running(outbox, sender)
    finally:
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)
        await sender.let_go()
        await client.close()
        await outbox.close()


async def test_everything_arrives_once_and_in_order_within_its_session(
    endpoint: ReconifyEndpoint, redis_url: str
) -> None:
    async with at_work(redis_url) as running:
        added = {f"s{number}": await running.add(f"s{number}", 30) for number in range(5)}
        await running.until_empty()
        status = await running.outbox.status()
    assert endpoint.accepted == added
    assert endpoint.repeats == [], "something was sent again without need"
    assert (status.delivered, status.retried, status.in_flight) == (150, 0, 0)


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
        async with asyncio.timeout(20):
            while poison not in await running.dead():
                await running.add("good")
                await asyncio.sleep(0.01)
        await running.until_empty()
        [letter] = [letter async for letter in running.outbox.dead()]
    assert (letter.status, letter.reason) == ("500", "broken")
    assert endpoint.accepted["bad"] == [after], "the session of a dead letter does not go on"
    tries = [posted for posted in endpoint.posted if posted.message_id == poison]
    assert len(tries) >= 4, "the first failure tells nothing; three more, each after something was accepted, count"


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


async def test_too_many_requests_is_never_a_payloads_fault(endpoint: ReconifyEndpoint, redis_url: str) -> None:
    endpoint.answers = lambda posted: Reaction(429) if posted.session == "often" and posted.attempt < 8 else OK
    async with at_work(redis_url, max_attempts=1) as running:
        [often] = await running.add("often")
        async with asyncio.timeout(20):
            while often not in endpoint.accepted_ids:
                await running.add("good")
                await asyncio.sleep(0.01)
        assert await running.dead() == []


async def test_a_dead_endpoint_is_tried_with_one_payload_at_a_time(endpoint: ReconifyEndpoint, redis_url: str) -> None:
    arrived: list[float] = []

    def note(posted: Posted) -> Reaction:
        arrived.append(time.monotonic())
        return HANGS

    endpoint.answers = note
    async with at_work(redis_url) as running:
        for number in range(3 * AT_ONCE):
            await running.add(f"s{number}")
        await running.until(lambda: len(arrived) > AT_ONCE + 3, "the endpoint is tried again")
    # After those that were on their way when the first failed. Each is given up after TIMEOUT; the endpoint itself
    # hears of that late, so it cannot be asked how many it has.
    one_by_one = arrived[AT_ONCE:]
    assert all(later - earlier > TIMEOUT / 2 for earlier, later in pairwise(one_by_one)), (
        f"payloads were on their way at once to an endpoint that is down: {one_by_one}"
    )


async def test_each_refused_payload_is_a_dead_letter_and_nothing_else_is(
    endpoint: ReconifyEndpoint, redis_url: str
) -> None:
    endpoint.answers = lambda posted: WRONG if posted.body["number"] % 3 == 0 else OK
    async with at_work(redis_url) as running:
        added = [message_id for number in range(4) for message_id in await running.add(f"s{number}", 6)]
        await running.until_empty()
        dead = await running.dead()
    wrong = [message_id for message_id in added if int(message_id.split("-")[1]) % 3 == 0]
    assert sorted(dead) == sorted(wrong)
    assert endpoint.accepted_ids == set(added) - set(wrong)
    assert len(endpoint.posted) == len(added), "a refused payload was sent again"


async def test_what_cannot_be_read_is_a_dead_letter(endpoint: ReconifyEndpoint, redis_url: str) -> None:
    async with at_work(redis_url) as running:
        for number, damaged in enumerate(["", "{", "[]", '"text"', "null", '{"reconify": 7}']):
            await running.outbox.add(ANA, "s1", f"damaged {number}", damaged)
        [after] = await running.add("s1")
        await running.until_empty()
        letters = [letter async for letter in running.outbox.dead()]
    assert len(letters) == 6, "a damaged entry keeps the rest of its session from being sent, or was sent"
    assert endpoint.accepted == {"s1": [after]}


async def test_a_shutdown_gives_back_what_it_was_sending(endpoint: ReconifyEndpoint, redis_url: str) -> None:
    endpoint.answers = lambda posted: HANGS
    async with at_work(redis_url) as running:
        [message_id] = await running.add("s1")
        await running.until(lambda: endpoint.posted, "the payload is on its way")
    outbox = Outbox.open(redis_url, load_reconify_settings(), timeout_seconds=20)
    claims = await outbox.claim(1, lease_seconds=5)
    await outbox.close()
    assert [delivery.message_id for delivery in claims] == [message_id], (
        "the next process has to wait until the lease of one that was shut down in order has ended"
    )


async def test_the_keys_are_nowhere_in_redis(
    endpoint: ReconifyEndpoint, redis_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(0)
    keys = [endpoint.settings["RECONIFY_APP_KEY"], endpoint.settings["RECONIFY_API_KEY"]]
    endpoint.answers = lambda posted: Reaction([400, 500][posted.number % 2], f"wrong keys: {keys}")
    async with at_work(redis_url) as running:
        for number in range(6):
            await running.add(f"s{number}")
        await running.until(lambda: len(endpoint.posted) > 8, "payloads are refused and retried")
        with redis.Redis.from_url(redis_url) as client:
            values = b"".join(client.dump(key) or b"" for key in client.scan_iter("*"))
            letters = [letter async for letter in running.outbox.dead()]
    assert letters, "no dead letter: the test did not show anything"
    assert all(letter.reason == "wrong keys: ['[key]', '[key]']" for letter in letters), letters
    for key in keys:
        assert all(key in json.dumps(posted.body) for posted in endpoint.posted), "the keys are not sent"
        assert key.encode() not in values, "a key is in Redis"
        assert key not in caplog.text, "a key is in the log"


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def fail(circuit: Circuit, times: int) -> None:
    for _ in range(times):
        circuit.failed()


def new_circuit(longest: float = 60.0) -> tuple[Circuit, Clock]:
    clock = Clock()
    return Circuit(Backoff(longest), clock=clock), clock


def test_a_circuit_opens_after_failures_in_a_row() -> None:
    circuit, _ = new_circuit()
    fail(circuit, THRESHOLD - 1)
    circuit.answered()
    fail(circuit, THRESHOLD - 1)
    assert circuit.is_closed
    assert circuit.room(3, 16) == 13
    circuit.failed()
    assert not circuit.is_closed
    assert circuit.room(0, 16) == 0


def test_an_open_circuit_lets_one_through_after_its_pause_and_closes_when_it_is_answered() -> None:
    circuit, clock = new_circuit()
    fail(circuit, THRESHOLD)
    clock.now += circuit.pause + 0.001
    assert (circuit.room(0, 16), circuit.room(1, 16)) == (1, 0), "more than one may try a dead endpoint"
    circuit.answered()
    assert circuit.is_closed


def test_the_pauses_of_a_circuit_grow_and_are_bounded() -> None:
    """With full jitter each is anywhere below its bound, so many are looked at."""
    found: list[list[float]] = [[] for _ in range(12)]
    for _ in range(200):
        circuit, clock = new_circuit(longest=60.0)
        fail(circuit, THRESHOLD - 1)
        for pauses in found:
            circuit.failed()
            pauses.append(circuit.pause)
            clock.now += circuit.pause + 0.001
    for number, pauses in enumerate(found):
        bound = min(60.0, 2.0**number)
        assert max(pauses) <= bound + 0.001, f"pause {number + 1} is longer than {bound} s"
        assert max(pauses) > bound * 0.9, f"pause {number + 1} does not grow to {bound} s"
        assert min(pauses) < bound * 0.1, f"pause {number + 1} has no full jitter: workers would come back together"


def test_late_failures_do_not_lengthen_a_pause() -> None:
    circuit, clock = new_circuit()
    fail(circuit, THRESHOLD)
    pause = circuit.pause
    fail(circuit, 100)
    assert circuit.pause == pause
    clock.now += pause + 0.001
    circuit.failed()
    assert circuit.pause <= 2.0, "failures of what was sent before the pause count as probes"


def test_retry_after_is_kept_whatever_else_is_answered() -> None:
    circuit, clock = new_circuit(longest=1.0)
    circuit.failed(retry_after=30)
    circuit.answered()
    circuit.failed()
    assert circuit.pause == pytest.approx(30)
    assert circuit.room(0, 16) == 0
    clock.now += 30.001
    assert circuit.room(0, 16) == 1, "after the pause, one payload finds out"
