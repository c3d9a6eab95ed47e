"""Sessions that are due: claimed once, leased, finished, postponed, set aside, taken back by their user."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter

import pytest

from recallr_litellm.core.owner import Owner
from recallr_litellm.core.records import Session
from recallr_litellm.stores.state import Claim, CommitResult, StateStore, keys
from tests.unit.stores.state_kit import (
    ANA,
    BEN,
    NOW,
    SECOND,
    TIMEOUT,
    Everything,
    commit,
    resolve,
    session_with,
    texts_of,
)

pytest_plugins = ("tests.unit.stores.state_fixtures",)

DUE = NOW + TIMEOUT * SECOND
"""When a session of `session_with` is due."""

LEASE = 60


async def claim_one(store: StateStore, *, at: int = DUE) -> Claim:
    claims = await store.claim(10, lease_seconds=LEASE, now_ms=at)
    assert len(claims) == 1, f"expected one session to be due, got {claims}"
    return claims[0]


class TestClaiming:
    async def test_a_session_is_due_when_its_timeout_has_passed(self, store: StateStore) -> None:
        session_id = await session_with(store, "hello", "there")
        assert await store.claim(10, lease_seconds=LEASE, now_ms=DUE - 1) == []

        claim = await claim_one(store, at=DUE)

        assert (claim.owner, claim.session_id, claim.attempts) == (ANA, session_id, 1)
        assert texts_of(claim.snapshot.messages) == ["hello", "there"]
        assert (claim.snapshot.created_at, claim.snapshot.last_at) == (NOW, NOW)
        assert claim.snapshot.timeout_seconds == TIMEOUT

    async def test_eight_workers_get_each_session_once(self, store: StateStore) -> None:
        owners = [Owner("acme", f"user {number}") for number in range(120)]
        for owner in owners:
            await store.remember_user(owner)
        made = await asyncio.gather(*(session_with(store, "hello", owner=owner) for owner in owners))

        async def worker() -> list[str]:
            mine: list[str] = []
            while claims := await store.claim(5, lease_seconds=LEASE, now_ms=DUE):
                mine += [claim.session_id for claim in claims]
            return mine

        claimed = Counter(itertools.chain(*await asyncio.gather(*(worker() for _ in range(8)))))

        assert set(claimed) == set(made), "every due session has to be claimed"
        assert set(claimed.values()) == {1}, "no session may be claimed twice while it is leased"

    async def test_no_more_than_asked_for_and_the_longest_overdue_bucket_first(self, store: StateStore) -> None:
        owners = [Owner("acme", f"user {number}") for number in range(12)]
        for number, owner in enumerate(owners):
            await store.remember_user(owner)
            await session_with(store, "hello", owner=owner, at=NOW + number)

        first = await store.claim(1, lease_seconds=LEASE, now_ms=DUE + 5)
        then = await store.claim(100, lease_seconds=LEASE, now_ms=DUE + 5)

        assert [claim.owner for claim in first] == owners[:1]
        assert {claim.owner for claim in then} == set(owners[1:6]), "only those whose time has come"

    async def test_what_becomes_due_during_a_claim_is_claimed(
        self, store: StateStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The claim looks first which buckets have something due, and may find that another worker changes that."""
        session_id = await session_with(store, "hello")
        given_back = await claim_one(store)
        look = store._queues

        async def look_just_before() -> list[tuple[float, int]]:
            seen = await look()
            await store.postpone(given_back, 0, "an outage", counts=False, now_ms=DUE)
            return seen

        monkeypatch.setattr(store, "_queues", look_just_before)
        claim = await claim_one(store)
        assert claim.session_id == session_id, "leased, but nobody was told: it waits until the lease ends"

    async def test_a_session_without_messages_leaves_nothing(self, store: StateStore, everything: Everything) -> None:
        nothing = sorted(everything.keys("*"))
        await resolve(store)
        await resolve(store, BEN)
        assert sorted(everything.keys("*")) != nothing

        assert await store.claim(1, lease_seconds=LEASE, now_ms=DUE) == []

        assert sorted(everything.keys("*")) == nothing, "a session nobody wrote to left keys behind"

    async def test_sessions_without_messages_do_not_stand_in_the_way_of_others(self, store: StateStore) -> None:
        for number in range(5):
            await resolve(store, at=NOW - (5 - number) * 700 * SECOND)
        session_id = await session_with(store, "hello", at=NOW + TIMEOUT * SECOND)

        claims = await store.claim(1, lease_seconds=LEASE, now_ms=DUE + TIMEOUT * SECOND)

        assert [claim.session_id for claim in claims] == [session_id]

    async def test_a_lease_that_ends_makes_the_session_due_again(self, store: StateStore) -> None:
        await session_with(store, "hello")
        first = await claim_one(store, at=DUE)
        assert await store.claim(10, lease_seconds=LEASE, now_ms=DUE + LEASE * SECOND - 1) == []

        second = await claim_one(store, at=DUE + LEASE * SECOND)

        assert (first.attempts, second.attempts) == (1, 2)
        assert first.lease != second.lease

    async def test_an_extended_lease_ends_later(self, store: StateStore) -> None:
        await session_with(store, "hello")
        claim = await claim_one(store)
        assert await store.extend(claim, 2 * LEASE, now_ms=DUE)
        assert await store.claim(10, lease_seconds=LEASE, now_ms=DUE + 2 * LEASE * SECOND - 1) == []

        await claim_one(store, at=DUE + 2 * LEASE * SECOND)
        assert not await store.extend(claim, LEASE, now_ms=DUE), "a lease lost to another worker cannot be extended"

    async def test_without_a_given_time_redis_own_clock_counts(self, store: StateStore) -> None:
        long_ago = await session_with(store, "hello", at=1_000)
        current = await resolve(store, at=None)
        await commit(store, current.session_id, 0, "just now", at=None)

        claims = await store.claim(10, lease_seconds=LEASE)

        assert [claim.session_id for claim in claims] == [long_ago]
        assert await store.claim(10, lease_seconds=LEASE) == [], "its lease has only begun"


class TestFinishing:
    async def test_leaves_nothing_but_the_markers_of_exchanges(self, store: StateStore, everything: Everything) -> None:
        before = set(everything.keys("*"))
        session_id = await session_with(store, "hello")
        await store.save_block(ANA, session_id, "turn", "block")
        claim = await claim_one(store)

        assert await store.finish(claim)

        left = set(everything.keys("*")) - before
        assert [key for key in left if ":exchange:" not in key] == []
        assert len(left) == 1
        assert all(0 < everything.ttl(key) <= 24 * 60 * 60 for key in left), "the markers have to go by themselves"
        assert await store.finish(claim), "finishing again, as after an answer that was lost, says the same"

    async def test_the_next_request_opens_a_new_session(self, store: StateStore) -> None:
        session_id = await session_with(store, "hello")
        await store.finish(await claim_one(store))

        after = await resolve(store, at=DUE)
        assert (after.created, after.other_sessions) == (True, ())
        assert after.session_id != session_id

    async def test_keeps_the_newer_current_session(self, store: StateStore) -> None:
        await session_with(store, "old")
        claim = await claim_one(store)
        newer = await resolve(store, at=DUE)

        assert await store.finish(claim)
        assert (await resolve(store, at=DUE)).session_id == newer.session_id

    async def test_a_commit_meanwhile_wins(self, store: StateStore) -> None:
        session_id = await session_with(store, "hello")
        claim = await claim_one(store)
        assert await commit(store, session_id, 1, "one more thing", at=DUE) is CommitResult.STORED

        assert not await store.finish(claim), "what was said while the session was processed would be lost"
        assert not await store.extend(claim, LEASE, now_ms=DUE)

        again = await claim_one(store, at=DUE + TIMEOUT * SECOND)
        assert sorted(texts_of(again.snapshot.messages)) == ["hello", "one more thing"]
        assert again.attempts == 1, "attempts count since the user's last activity"

    async def test_a_request_meanwhile_keeps_the_session_for_its_commit(self, store: StateStore) -> None:
        session_id = await session_with(store, "hello")
        claim = await claim_one(store)
        back = await resolve(store, requested=session_id, at=DUE)

        assert not await store.finish(claim)
        assert (await resolve(store, at=DUE + 1)).session_id == session_id, "the user is in this session"
        assert await commit(store, session_id, back.version, "and", at=DUE + 2) is CommitResult.STORED

    async def test_a_late_finisher_leaves_the_session_to_the_next_worker(self, store: StateStore) -> None:
        session_id = await session_with(store, "hello")
        late = await claim_one(store)
        other = await claim_one(store, at=DUE + LEASE * SECOND)

        assert not await store.finish(late)
        assert await store.load(ANA, session_id) is not None
        assert await store.finish(other)

    async def test_a_late_finisher_does_not_touch_the_session_reopened(self, store: StateStore) -> None:
        session_id = await session_with(store, "hello")
        late = await claim_one(store)
        assert await store.finish(await claim_one(store, at=DUE + LEASE * SECOND))
        record = Session(id=session_id, created_at=NOW, last_at=NOW, timeout_seconds=TIMEOUT, message_count=1)
        await store.restore(ANA, record, late.snapshot.messages, now_ms=DUE)
        (current,) = await store.claim(10, lease_seconds=LEASE, now_ms=DUE + TIMEOUT * SECOND)

        assert not await store.finish(late)
        assert await store.finish(current)


class TestPostponing:
    async def test_the_session_is_due_again_after_the_delay(self, store: StateStore) -> None:
        await session_with(store, "hello")
        await store.postpone(await claim_one(store), 30, "the model was away", counts=True, now_ms=DUE)

        assert await store.claim(10, lease_seconds=LEASE, now_ms=DUE + 30 * SECOND - 1) == []
        assert (await claim_one(store, at=DUE + 30 * SECOND)).attempts == 2

    async def test_an_outage_does_not_count_as_an_attempt(self, store: StateStore) -> None:
        await session_with(store, "hello")
        await store.postpone(await claim_one(store), 0, "Qdrant is away", counts=False, now_ms=DUE)
        assert (await claim_one(store)).attempts == 1

    async def test_a_lost_lease_postpones_nothing(self, store: StateStore) -> None:
        await session_with(store, "hello")
        late = await claim_one(store)
        other = await claim_one(store, at=DUE + LEASE * SECOND)

        await store.postpone(late, 9999, "late", counts=True, now_ms=DUE)

        assert await store.finish(other), "the lease of the other worker was broken"


class TestSettingAside:
    async def fail(self, store: StateStore, *, owner: Owner = ANA) -> str:
        session_id = await session_with(store, "poison", owner=owner)
        await store.set_failed(await claim_one(store), "cannot be understood", now_ms=DUE)
        return session_id

    async def test_a_failed_session_is_kept_and_listed_but_not_due(self, store: StateStore) -> None:
        session_id = await self.fail(store)

        assert await store.failed() == [(ANA, session_id, "cannot be understood")]
        assert await store.claim(10, lease_seconds=LEASE, now_ms=DUE * 2) == []
        snapshot = await store.load(ANA, session_id)
        assert snapshot is not None
        assert texts_of(snapshot.messages) == ["poison"]
        assert (await resolve(store, at=DUE)).other_sessions == (session_id,), "it is still recalled as it stands"

    async def test_its_user_coming_back_makes_it_due_again(self, store: StateStore) -> None:
        session_id = await self.fail(store)
        await commit(store, session_id, 1, "antidote", at=DUE)
        assert await store.failed() == []
        assert (await claim_one(store, at=DUE + TIMEOUT * SECOND)).attempts == 1

        of_ben = await self.fail(store, owner=BEN)
        await resolve(store, BEN, requested=of_ben, at=DUE)
        assert await store.failed() == []

    async def test_requeueing_makes_all_due_with_fresh_attempts(self, store: StateStore) -> None:
        of_ana, of_ben = await self.fail(store), await self.fail(store, owner=BEN)

        assert await store.requeue_failed(now_ms=DUE) == 2

        claims = await store.claim(10, lease_seconds=LEASE, now_ms=DUE)
        assert {(claim.session_id, claim.attempts) for claim in claims} == {(of_ana, 1), (of_ben, 1)}
        assert await store.failed() == []
        assert await store.requeue_failed(now_ms=DUE) == 0

    async def test_a_lost_lease_sets_nothing_aside(self, store: StateStore) -> None:
        session_id = await session_with(store, "hello")
        claim = await claim_one(store)
        await resolve(store, requested=session_id, at=DUE)

        await store.set_failed(claim, "too late", now_ms=DUE)

        assert await store.failed() == []
        await claim_one(store, at=DUE + TIMEOUT * SECOND)


async def test_depth_counts_what_is_due_waiting_and_failed(store: StateStore) -> None:
    owners = [Owner("acme", f"user {number}") for number in range(4)]
    for number, owner in enumerate(owners):
        await store.remember_user(owner)
        await session_with(store, "hello", owner=owner, at=NOW + number)
    (claim,) = await store.claim(1, lease_seconds=LEASE, now_ms=DUE)
    await store.set_failed(claim, "reason", now_ms=DUE)
    await store.claim(1, lease_seconds=LEASE, now_ms=DUE + 1)

    assert await store.depth(now_ms=DUE + 2) == {"due": 1, "waiting": 2, "failed": 1}


def test_an_owners_bucket_never_changes() -> None:
    """The bucket is part of stored keys: another one after an upgrade would lose what is there."""
    assert [keys.bucket_of(Owner("acme", user)) for user in ("ana", "ben", "ça")] == [12, 2, 1]
    assert keys.session(ANA, "s").startswith("{recallr:12}:session:")
    assert keys.BUCKETS == 16
