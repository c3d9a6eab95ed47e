"""The gate in front of a store: closed by the first failure, opened by the first probe that succeeds."""

from __future__ import annotations

import asyncio

import pytest

from recallr_litellm.errors import StateUnavailable
from recallr_litellm.stores.gate import Gate


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


async def test_closed_until_a_probe_succeeds() -> None:
    store = Store()
    gate = Gate("test", store.probe)
    assert not gate.is_open
    assert await gate.probe()
    assert gate.is_open
    gate.require()


async def test_a_failure_closes_it_and_the_watch_opens_it_again_at_once() -> None:
    store = Store()
    gate = Gate("test", store.probe, interval=3600)
    watching = asyncio.create_task(gate.watch())
    await until(lambda: gate.is_open)
    store.fault = "connection refused"
    gate.close(StateUnavailable("boom"))
    assert not gate.is_open
    with pytest.raises(StateUnavailable, match="boom"):
        gate.require()
    await until(lambda: str(gate.error) == "connection refused")
    store.fault = None
    gate.close(StateUnavailable("boom"))
    await until(lambda: gate.is_open)
    watching.cancel()


async def test_a_store_that_hangs_does_not_answer() -> None:
    store = Store()
    store.hangs = True
    gate = Gate("test", store.probe, probe_timeout=0.05)
    assert not await gate.probe()
    assert not gate.is_open


async def test_a_suspected_store_is_asked_at_once_and_stays_open_when_it_answers() -> None:
    store = Store()
    gate = Gate("test", store.probe, interval=3600)
    watching = asyncio.create_task(gate.watch())
    await until(lambda: store.probes == 1)
    gate.suspect()
    assert gate.is_open, "one slow answer does not close it"
    await until(lambda: store.probes == 2)
    assert gate.is_open
    store.fault = "gone"
    gate.suspect()
    await until(lambda: not gate.is_open)
    watching.cancel()
