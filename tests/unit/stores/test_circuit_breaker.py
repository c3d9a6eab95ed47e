"""The circuit breaker: it stops requests after the first outage, until a probe succeeds."""

from __future__ import annotations

import asyncio

import pytest

from recallr_litellm.errors import StateUnavailable
from recallr_litellm.stores.circuit_breaker import CircuitBreaker


class Store:
    """Answers, or does not."""

    def __init__(self) -> None:
        self.fault: str | None = None
        self.hangs = False
        self.probes = 0

    async def probe(self) -> None:
        self.probes += 1
        if self.hangs:
            await asyncio.Event().wait()
        if self.fault:
            raise StateUnavailable(self.fault)


async def until(condition) -> None:
    async with asyncio.timeout(120):
        while not condition():
            await asyncio.sleep(0.005)


async def test_an_outage_stops_requests_until_the_watch_sees_its_end() -> None:
    store = Store()
    breaker = CircuitBreaker("test", store.probe, interval=3600)
    watching = asyncio.create_task(breaker.watch())
    await until(lambda: breaker.allows_requests)
    store.fault = "connection refused"
    breaker.trip(StateUnavailable("boom"))
    assert not breaker.allows_requests
    with pytest.raises(StateUnavailable, match="boom"):
        breaker.require()
    await until(lambda: str(breaker.error) == "connection refused")
    store.fault = None
    breaker.trip(StateUnavailable("boom"))
    await until(lambda: breaker.allows_requests)
    watching.cancel()


async def test_a_store_that_hangs_does_not_answer() -> None:
    store = Store()
    store.hangs = True
    breaker = CircuitBreaker("test", store.probe, probe_timeout=0.05)
    assert not await breaker.probe()
    assert not breaker.allows_requests


async def test_a_suspected_store_is_probed_at_once_and_requests_go_on_while_it_answers() -> None:
    store = Store()
    breaker = CircuitBreaker("test", store.probe, interval=3600)
    watching = asyncio.create_task(breaker.watch())
    await until(lambda: store.probes == 1)
    breaker.suspect()
    assert breaker.allows_requests, "one slow answer does not stop requests"
    assert breaker.in_doubt, "a probe cannot tell that it was suspected"
    await until(lambda: store.probes == 2 and not breaker.in_doubt)
    assert breaker.allows_requests
    store.fault = "gone"
    breaker.suspect()
    await until(lambda: not breaker.allows_requests)
    watching.cancel()
