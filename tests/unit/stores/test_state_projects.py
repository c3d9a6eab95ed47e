"""What workers tell each other of projects: that they changed, which keys were used, how many requests were made."""

from __future__ import annotations

from recallr_litellm.stores.state import StateStore
from tests.unit.stores.state_kit import NOW, Everything

pytest_plugins = ["tests.unit.stores.state_fixtures"]


async def test_each_change_makes_another_version(store: StateStore) -> None:
    seen = [await store.projects_version()]
    for _ in range(2):
        await store.projects_changed()
        seen.append(await store.projects_version())
    assert len(set(seen)) == 3
    assert await store.projects_version() == seen[-1]


async def test_the_last_use_of_each_key_is_kept(store: StateStore) -> None:
    assert await store.last_uses() == {}
    await store.keys_used(["one", "two"], NOW)
    await store.keys_used(["two"], NOW + 60_000)
    assert await store.last_uses() == {"one": NOW, "two": NOW + 60_000}


async def test_requests_of_a_project_are_counted_for_a_minute(store: StateStore, everything: Everything) -> None:
    assert [await store.seconds_to_wait("acme", most=2) for _ in range(2)] == [0, 0]
    assert 1 <= await store.seconds_to_wait("acme", most=2) <= 60
    assert await store.seconds_to_wait("globex", most=2) == 0, "another project pays for it"
    assert await store.seconds_to_wait("acme", "one of it", most=2) == 0
    await store.uncount("acme", "one of it", most=2)
    assert [await store.seconds_to_wait("acme", "one of it", most=2) for _ in range(2)] == [0, 0]
    [key] = [key for key in everything.scan_iter("recallr:limits:*") if everything.get(key) == "3"]
    everything.delete(key)  # as if the minute had passed
    assert await store.seconds_to_wait("acme", most=2) == 0
