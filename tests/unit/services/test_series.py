"""Requests over time: what all workers count adds up, in minutes and in hours."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from recallr_litellm.core.owner import Project
from recallr_litellm.errors import StateUnavailable
from recallr_litellm.services.series import BOUNDS_MS, Point, Series, quantile
from recallr_litellm.stores.circuit_breaker import CircuitBreaker
from recallr_litellm.stores.state import StateStore
from recallr_litellm.stores.state.series import Step
from tests.unit.stores.state_kit import Everything

pytest_plugins = ["tests.unit.stores.state_fixtures"]

ACME = Project("acme")
HOUR = 1_800_000_000 // 3600 * 3600
"""Seconds since the epoch at which an hour begins."""


async def nothing_waits() -> Mapping[str, Mapping[str, int]]:
    return {}


def series(store: StateStore) -> Series:
    async def probe() -> None:
        return None

    return Series(store, CircuitBreaker("redis", probe), queues=nothing_waits)


async def read(counted: Series, step: Step, project: Project = ACME) -> list[Point]:
    points = await counted.read(project, step, since=HOUR, now=HOUR + 3599)
    return [point for point in points if point.requests]


async def test_what_workers_count_adds_up_in_minutes_and_hours(store: StateStore, everything: Everything) -> None:
    one, other = series(store), series(store)
    for counted in (one, other):
        for second in (0, 59, 60):
            counted.count("acme", status="ok", seconds=0.004, tokens=10, now=HOUR + second)
        counted.count("acme", status="degraded; reason=timeout", seconds=2.9, tokens=0, now=HOUR + 61)
        counted.count("globex", status="off", seconds=0, tokens=0, now=HOUR)
        await counted.flush()
        await counted.flush()
    first, last = await read(one, Step.MINUTE)
    assert (first.requests, first.tokens, int(first.at.timestamp())) == ({"ok": 4}, 40, HOUR)
    assert (last.requests, last.tokens) == ({"degraded; reason=timeout": 2, "ok": 2}, 20)
    assert first.added_ms_p99 is not None
    assert 3 <= first.added_ms_p99 <= 5
    assert last.added_ms_p99 is not None
    assert 2000 <= last.added_ms_p99 <= 3000
    [hour] = await read(one, Step.HOUR)
    assert (hour.requests, hour.tokens) == ({"degraded; reason=timeout": 2, "ok": 6}, 60)
    [others] = await read(one, Step.MINUTE, Project("globex"))
    assert others.requests == {"off": 2}
    names = list(everything.scan_iter("*series*"))
    assert len(names) == 5
    assert all(0 < everything.ttl(name) <= 29 * 24 * 3600 for name in names)


async def test_each_minute_is_a_point_and_none_is_older_than_is_kept(store: StateStore) -> None:
    counted = series(store)
    points = await counted.read(ACME, Step.MINUTE, since=HOUR, now=HOUR + 150)
    assert [int(point.at.timestamp()) - HOUR for point in points] == [0, 60, 120]
    assert all((point.requests, point.added_ms_p50, point.queues) == ({}, None, {}) for point in points)
    assert len(await counted.read(ACME, Step.MINUTE, since=0, now=HOUR)) == 361
    assert len(await counted.read(ACME, Step.HOUR, now=HOUR)) == 28 * 24 + 1
    assert await counted.read(ACME, Step.HOUR, since=HOUR + 9000, now=HOUR) == []


async def test_what_cannot_be_written_is_written_later(store: StateStore, monkeypatch: pytest.MonkeyPatch) -> None:
    counted = series(store)
    counted.count("acme", status="ok", seconds=0, tokens=1, now=HOUR)

    async def away(_: object) -> None:
        raise StateUnavailable("away")

    with monkeypatch.context() as outage:
        outage.setattr(store, "add_to_series", away)
        with pytest.raises(StateUnavailable):
            await counted.flush()
    counted.count("acme", status="ok", seconds=0, tokens=1, now=HOUR)
    await counted.flush()
    [point] = await read(counted, Step.MINUTE)
    assert (point.requests, point.tokens) == ({"ok": 2}, 2)


async def test_the_length_of_a_queue_is_the_last_one_counted(store: StateStore) -> None:
    for length in (7, 3):
        await store.add_to_series({("acme", HOUR): {"queue:due": length}})
    [point] = await series(store).read(ACME, Step.HOUR, since=HOUR, now=HOUR)
    assert point.queues == {"due": 3}


def test_the_share_of_a_bucket_is_taken_as_evenly_spread() -> None:
    empty = [0] * (len(BOUNDS_MS) + 1)
    assert quantile(empty, 0.5) is None
    in_second = empty.copy()
    in_second[1] = 10
    assert quantile(in_second, 0.5) == 1.5
    assert quantile(in_second, 1) == 2
    beyond = empty.copy()
    beyond[-1] = 1
    assert quantile(beyond, 0.5) == BOUNDS_MS[-1]
