"""Sessions that are asked for by the API: made without messages, described, ended before their time."""

from __future__ import annotations

from recallr_litellm.stores.state import Claim, CommitResult, EndResult, StateStore
from tests.unit.stores.state_kit import ANA, BEN, NOW, SECOND, TIMEOUT, commit, session_with

pytest_plugins = ("tests.unit.stores.state_fixtures",)

ID = "5" * 32
LATER = NOW + SECOND


async def make(store: StateStore, *, created_at: int | None = None) -> None:
    await store.create(ANA, ID, timeout_seconds=TIMEOUT, metadata={"a": [1]}, created_at=created_at, now_ms=NOW)


async def claimed(store: StateStore, at: int) -> list[Claim]:
    return await store.claim(5, lease_seconds=60, now_ms=at)


async def test_it_is_listed_without_messages_and_with_them(store: StateStore) -> None:
    await make(store)
    await make(store)  # repeated: nothing changes

    assert await store.open_sessions(ANA) == [ID]
    assert await store.open_sessions(BEN) == []
    found = (await store.look(ANA, [ID, "unknown"]))[ID]
    assert (found.metadata, found.message_count, found.last_message) == ({"a": [1]}, 0, None)
    assert await store.open_ids(ANA) == [], "no chat is shown a session that holds nothing"
    assert await commit(store, ID, found.version, "One.", at=LATER) is CommitResult.STORED
    assert await store.open_sessions(ANA) == [ID]
    assert (await store.look(ANA, [ID]))[ID].message_count == 1
    [claim] = await claimed(store, LATER + TIMEOUT * SECOND)
    assert await store.finish(claim)
    assert (await store.open_sessions(ANA), await store.look(ANA, [ID])) == ([], {})


async def test_one_of_the_past_waits_from_now_and_ended_with_its_last_message(store: StateStore) -> None:
    long_ago = NOW - 10**10
    await make(store, created_at=long_ago)
    version = (await store.look(ANA, [ID]))[ID].version
    assert await claimed(store, NOW + TIMEOUT * SECOND - 1) == [], "it has the time of any other"

    empty = await store.load(ANA, ID)
    await commit(store, ID, version, "One.", "Two.", at=LATER)
    full = await store.load(ANA, ID)

    assert empty is not None
    assert full is not None
    assert (empty.created_at, empty.last_at) == (long_ago, long_ago)
    assert (full.created_at, full.last_at) == (long_ago, NOW + 1), "that of the second message"
    assert full.metadata == {"a": [1]}


async def test_it_is_ended_once_and_a_repeated_request_is_told_so(store: StateStore) -> None:
    await make(store)
    assert await store.end(ANA, ID, request="first", now_ms=LATER) is EndResult.ENDED
    assert (await store.look(ANA, [ID]))[ID].processing, "from now on, whoever may work on it"
    assert await store.end(ANA, ID, now_ms=LATER) is EndResult.BUSY
    assert await store.end(ANA, ID, request="first", now_ms=LATER) is EndResult.REPEATED
    assert await store.end(BEN, ID, now_ms=LATER) is EndResult.GONE
    [claim] = await claimed(store, LATER)
    await store.set_failed(claim, "broken", now_ms=LATER)
    failed = (await store.look(ANA, [ID]))[ID]
    assert failed.failed
    assert await store.end(ANA, ID, now_ms=LATER) is EndResult.BUSY


async def test_its_user_coming_back_ends_the_ending(store: StateStore) -> None:
    id = await session_with(store, "One.")
    version = (await store.look(ANA, [id]))[id].version
    await store.end(ANA, id, now_ms=LATER)

    await commit(store, id, version, "Two.", at=LATER)

    assert not (await store.look(ANA, [id]))[id].processing
    assert await claimed(store, LATER + 1) == []


async def test_what_is_noted_while_it_is_processed_is_not_lost(store: StateStore) -> None:
    await make(store)
    await store.end(ANA, ID, now_ms=NOW)
    [claim] = await claimed(store, NOW)

    assert await store.describe(ANA, ID, {"b": 2}, now_ms=LATER)

    assert not await store.finish(claim), "whoever has read what was noted before has to do it again"
    [again] = await claimed(store, LATER)
    snapshot = await store.load(ANA, ID)
    assert snapshot is not None
    assert snapshot.metadata == {"b": 2}
    assert await store.finish(again)
    assert not await store.describe(ANA, ID, {"c": 3}, now_ms=LATER)
