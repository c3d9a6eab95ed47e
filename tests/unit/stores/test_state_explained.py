"""What is kept of a project's last requests: bounded, under their owners, told to nobody else."""

from __future__ import annotations

import asyncio

from recallr_litellm.core.owner import Owner, Project
from recallr_litellm.stores.state import ExplainedRequest, StateStore
from recallr_litellm.stores.state.keys import gone
from tests.unit.stores.state_kit import ANA, BEN, Everything

pytest_plugins = ["tests.unit.stores.state_fixtures"]

ACME = Project(ANA.project)
DAY = 24 * 3600.0


def request(number: int, owner: Owner | None = ANA, size: int = 10, project: str = ANA.project) -> ExplainedRequest:
    return ExplainedRequest(f"{number:032x}", project, owner, f"summary {number}", f"{number}" + "x" * size)


async def keep(store: StateStore, *requests: ExplainedRequest, most: int = 10, most_bytes: int = 10_000) -> None:
    await store.keep_explained(requests, most=most, most_bytes=most_bytes, seconds=DAY)


async def listed(store: StateStore, project: Project = ACME) -> list[str]:
    return (await store.list_explained(project, offset=0, limit=50, seconds=DAY))[0]


async def test_the_last_requests_of_a_project_are_kept_whosever_they_are(
    store: StateStore, everything: Everything
) -> None:
    for number in range(1, 5):
        await keep(store, request(number, (ANA, BEN, None)[number % 3]), most=3)
    assert await listed(store) == ["summary 4", "summary 3", "summary 2"]
    page = await store.list_explained(ACME, offset=1, limit=1, seconds=DAY)
    assert page == (["summary 3"], 3)
    assert await store.explained(ACME, request(1).id, seconds=DAY) is None
    assert await store.explained(ACME, request(4).id, seconds=DAY) == request(4).whole
    left = [name for key in everything.scan_iter("*explained*") for name in everything.hgetall(key)]
    assert sorted(left) == sorted(f"{light}{request(n).id}" for n in (2, 3, 4) for light in ("", "light:"))


async def test_large_ones_go_sooner(store: StateStore) -> None:
    await keep(store, *(request(number, size=400) for number in range(4)), most_bytes=1000)
    assert await listed(store) == ["summary 3", "summary 2"]
    await keep(store, request(9, size=2000), most_bytes=1000)
    assert await listed(store) == [], "one that has no room takes none"


async def test_what_is_too_old_is_not_told_and_its_keys_expire(store: StateStore, everything: Everything) -> None:
    await keep(store, request(1))
    await asyncio.sleep(0.01)
    assert await store.explained(ACME, request(1).id, seconds=0.001) is None
    assert await store.list_explained(ACME, offset=0, limit=9, seconds=0.001) == ([], 0)
    keys = [key for key in everything.scan_iter("*") if "explained" in key or "request" in key]
    assert len(keys) == 3
    assert all(0 < everything.ttl(key) <= DAY + 1 for key in keys)


async def test_another_project_knows_nothing_of_them(store: StateStore) -> None:
    await keep(store, request(1))
    other = Project("globex")
    assert await store.explained(other, request(1).id, seconds=DAY) is None
    assert await listed(store, other) == []


async def test_they_go_with_their_owner(store: StateStore, everything: Everything) -> None:
    await keep(store, request(1, ANA), request(2, BEN), request(3, ANA), request(4, None))
    assert await store.forget_explained(ANA) == 2
    assert await listed(store) == ["summary 4", "summary 2"]
    assert not [key for key in everything.scan_iter("*explained*") if ANA.key in key]
    await keep(store, request(5, ANA), most_bytes=10_000)
    assert await listed(store) == ["summary 5", "summary 4", "summary 2"]


async def test_nothing_is_kept_of_who_was_forgotten_meanwhile(store: StateStore, everything: Everything) -> None:
    everything.set(gone(ANA), 1)
    await keep(store, request(1, ANA), request(2, BEN))
    assert await listed(store) == ["summary 2"]
    assert not [key for key in everything.scan_iter("*explained*") if ANA.key in key]
