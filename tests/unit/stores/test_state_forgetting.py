"""Forgetting in Redis, of one server and of a cluster."""

from __future__ import annotations

import asyncio

import pytest

from recallr_litellm.core.owner import Owner
from recallr_litellm.core.records import Session
from recallr_litellm.stores.state import CommitResult, StateStore, UnknownUser, keys
from recallr_litellm.stores.state.forgetting import ForgettingQueue, InMotion
from tests.unit.stores.state_kit import ANA, BEN, NOW, Everything, commit, said, session_with, texts_in

pytest_plugins = ["tests.unit.stores.state_fixtures"]

SESSION = Session(id="5" * 32, created_at=NOW, last_at=NOW, timeout_seconds=600, message_count=0)


@pytest.fixture
def queue(store: StateStore) -> ForgettingQueue:
    return ForgettingQueue(store.link, timeout_seconds=60)


def keys_with(everything: Everything, part: str) -> list[str]:
    found = [str(key) for key in everything.scan_iter(match=f"*{part}*", count=1000)]
    return sorted(key for key in found if key.split(":")[2] not in keys.KEPT_FROM_FORGETTING)


async def asked(store: StateStore) -> object:
    """The session of a request of Ana's."""
    options = {"new_session_id": "7" * 32, "timeout_seconds": None, "default_timeout_seconds": 600}
    return await store.resolve(ANA, **options)  # type: ignore[arg-type]


async def test_every_key_of_a_user_goes_and_nobody_elses(
    store: StateStore, queue: ForgettingQueue, everything: Everything
) -> None:
    last = "0" if ANA.key[31] != "0" else "1"
    near = Owner("acme", "ana", ANA.key[:31] + last)  # in the same bucket
    await store.remember_user(near)
    for owner in (ANA, BEN, near):
        await session_with(store, "One.", "Two.", owner=owner)
    others = keys_with(everything, BEN.key) + keys_with(everything, near.key)
    assert await queue.begin(ANA, lease_seconds=60)
    assert await queue.delete_all_of(ANA) == InMotion(sessions=1, messages=2)
    assert keys_with(everything, ANA.key) == []
    assert keys_with(everything, BEN.key) + keys_with(everything, near.key) == others
    assert sum((await store.depth()).values()) == 2


async def test_nothing_is_written_for_who_is_forgotten(store: StateStore, queue: ForgettingQueue) -> None:
    session = await session_with(store, "One.")
    assert await queue.begin(ANA, lease_seconds=60)
    await queue.delete_all_of(ANA)
    assert not await store.remember_user(ANA)
    assert not await store.restore(ANA, SESSION, [said(0, "One.")])
    await store.create(ANA, "6" * 32, timeout_seconds=600, metadata={})
    assert await commit(store, session, 1, "Two.") is CommitResult.GONE
    assert await asked(store) == UnknownUser()
    assert await queue.delete_all_of(ANA) == InMotion(0, 0)
    assert await store.is_gone(ANA)
    assert not await store.is_gone(BEN)


async def test_a_forgotten_session_goes_alone(store: StateStore, queue: ForgettingQueue) -> None:
    first = await session_with(store, "One.", "Two.")
    await store.restore(ANA, SESSION, [said(0, "Three.")])
    begun = await queue.begin(ANA, first, lease_seconds=60)
    assert begun is not None
    assert begun[1] == InMotion(sessions=1, messages=2)
    assert await store.load(ANA, first) is None
    assert await texts_in(store, SESSION.id) == ["Three."]
    assert await store.is_gone(ANA, first)
    assert not await store.is_gone(ANA)
    assert not await store.restore(ANA, SESSION.model_copy(update={"id": first}), [])


async def test_a_session_that_was_used_later_stays(store: StateStore, queue: ForgettingQueue) -> None:
    session = await session_with(store, "One.")
    assert await queue.begin(ANA, session, lease_seconds=60, unused_since=NOW - 1) is None
    assert await texts_in(store, session) == ["One."]
    assert not await store.is_gone(ANA, session)


async def test_a_job_is_done_once_more_when_all_is_settled(store: StateStore, queue: ForgettingQueue) -> None:
    begun = await queue.begin(ANA, name_keys=["n"], lease_seconds=10, now_ms=NOW)
    assert begun is not None
    assert await queue.claim(5, lease_seconds=10, now_ms=NOW + 9_999) == [], "two work on it at once"
    assert not await queue.finish(begun[0], settled_seconds=60, found=True, now_ms=NOW + 1000)
    assert await queue.claim(5, lease_seconds=10, now_ms=NOW + 60_999) == []
    [again] = await queue.claim(5, lease_seconds=10, now_ms=NOW + 61_000)
    assert (again.owner, again.session_id, again.name_keys) == (ANA, "", ("n",))
    assert await queue.finish(again, settled_seconds=60, found=False, now_ms=NOW + 61_000)
    assert await queue.depth() == {"due": 0, "waiting": 0, "failed": 0}


async def test_only_one_is_within_a_lock(store: StateStore) -> None:
    within = most = 0

    async def change() -> None:
        nonlocal within, most
        async with store.changing(keys.name_lock(ANA), keys.user_lock(ANA)):
            within += 1
            most = max(most, within)
            await asyncio.sleep(0.01)
            within -= 1

    await asyncio.gather(*(change() for _ in range(5)))
    assert most == 1
