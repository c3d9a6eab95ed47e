"""Sessions that are due: claimed once, leased, finished, postponed, set aside, taken back by their user."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter

import pytest

from recallr_litellm.core.laid import LaidBlock
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
    texts_in,
)

pytest_plugins = ("tests.unit.stores.state_fixtures",)

DUE = NOW + TIMEOUT * SECOND
"""When a session of `session_with` is due."""

LEASE = 60


async def claim(store: StateStore, limit: int = 10, *, at: int = DUE, busy: tuple[Owner, ...] = ()) -> list[Claim]:
    return await store.claim(limit, lease_seconds=LEASE, busy=busy, now_ms=at)


async def claim_one(store: StateStore, *, at: int = DUE) -> Claim:
    claims = await claim(store, at=at)
    assert len(claims) == 1, f"expected one session to be due, got {claims}"
    return claims[0]


async def users(store: StateStore, count: int) -> list[Owner]:
    owners = [Owner("acme", f"user {number}") for number in range(count)]
    for owner in owners:
        await store.remember_user(owner)
    return owners


class TestClaiming:
    async def test_a_session_is_due_when_its_timeout_has_passed_and_again_when_its_lease_has_ended(
        self, store: StateStore
    ) -> None:
        session_id = await session_with(store, "hello")
        assert await claim(store, at=DUE - 1) == []
        first = await claim_one(store)
        assert (first.owner, first.session_id, first.attempts) == (ANA, session_id, 1)

        assert await claim(store, at=DUE + LEASE * SECOND - 1) == [], "it is leased"
        assert await store.extend(first, 2 * LEASE, now_ms=DUE)
        assert await claim(store, at=DUE + 2 * LEASE * SECOND - 1) == [], "its lease was extended"

        second = await claim_one(store, at=DUE + 2 * LEASE * SECOND)
        assert (second.session_id, second.attempts) == (session_id, 2)
        assert not await store.extend(first, LEASE, now_ms=DUE), "a lease lost to another worker cannot be extended"

    async def test_eight_workers_get_each_session_once(self, store: StateStore) -> None:
        owners = await users(store, 120)
        made = await asyncio.gather(*(session_with(store, "hello", owner=owner) for owner in owners))

        async def worker() -> list[str]:
            mine: list[str] = []
            while claims := await claim(store, 5):
                mine += [claim.session_id for claim in claims]
            return mine

        claimed = Counter(itertools.chain(*await asyncio.gather(*(worker() for _ in range(8)))))
        assert set(claimed) == set(made), "every due session has to be claimed"
        assert set(claimed.values()) == {1}, "no session may be claimed twice while it is leased"

    async def test_the_longest_overdue_come_first_and_no_more_than_asked_for(self, store: StateStore) -> None:
        owners = await users(store, 12)
        for number, owner in enumerate(owners):
            await session_with(store, "hello", owner=owner, at=NOW + number)
        assert [claim.owner for claim in await claim(store, 1, at=DUE + 5)] == owners[:1]
        assert {claim.owner for claim in await claim(store, 100, at=DUE + 5)} == set(owners[1:6]), "only what is due"


class TestFairness:
    async def many_sessions(self, store: StateStore, owner: Owner, count: int) -> None:
        """Sessions of one user, each begun when the one before had timed out."""
        for number in range(count):
            await session_with(store, "hello", owner=owner, at=NOW - (count - number) * 2 * TIMEOUT * SECOND)

    async def test_of_each_user_one_session_at_a_time(self, store: StateStore) -> None:
        await self.many_sessions(store, ANA, 5)
        await session_with(store, "hello", owner=BEN)
        assert {claim.owner for claim in await claim(store)} == {ANA, BEN}
        assert await claim(store, busy=(ANA,)) == []
        assert [claim.owner for claim in await claim(store)] == [ANA]

    async def test_a_users_many_overdue_sessions_do_not_hide_anothers(self, store: StateStore) -> None:
        neighbour = next(
            owner
            for owner in (Owner("acme", f"user {number}") for number in range(1000))
            if keys.bucket_of(owner) == keys.bucket_of(ANA)
        )
        await store.remember_user(neighbour)
        await self.many_sessions(store, ANA, 250)  # more than a claim looks at
        await session_with(store, "hello", owner=neighbour)
        rounds = [await claim(store, busy=(ANA,)) for _ in range(2)]
        assert [claim.owner for claims in rounds for claim in claims] == [neighbour]

    async def test_a_damaged_session_is_set_aside_and_the_others_have_their_turn(
        self, store: StateStore, everything: Everything
    ) -> None:
        broken = await session_with(store, "hello")
        everything.delete(keys.session(ANA, broken))
        everything.set(keys.session(ANA, broken), "no hash")
        others = await users(store, 20)
        for owner in others:
            await session_with(store, "hello", owner=owner)
        assert {claim.owner for claim in await claim(store, 100)} == set(others)
        assert (await store.depth(now_ms=DUE))["failed"] == 1
        assert await store.failed() == [], "whose it was cannot be read"
        assert await store.requeue_failed(now_ms=DUE) == 0

    async def test_a_damaged_queue_costs_only_the_users_of_its_bucket_their_turn(
        self, store: StateStore, everything: Everything, caplog: pytest.LogCaptureFixture
    ) -> None:
        others = [owner for owner in await users(store, 20) if keys.bucket_of(owner) != keys.bucket_of(ANA)]
        for owner in (ANA, *others):
            await session_with(store, "hello", owner=owner)
        everything.delete(keys.due(keys.bucket_of(ANA)))
        everything.set(keys.due(keys.bucket_of(ANA)), "no sorted set")
        assert {claim.owner for claim in await claim(store, 100)} == set(others)
        assert (await store.depth(now_ms=DUE))["waiting"] == len(others)
        assert await claim(store) == []
        told = [record for record in caplog.records if "waits until it is repaired" in record.getMessage()]
        assert len(told) == 1, "every look at the queue is logged"

    async def test_a_list_of_what_failed_that_is_damaged_costs_nobody_else_their_turn(
        self, store: StateStore, everything: Everything
    ) -> None:
        others = [owner for owner in await users(store, 20) if keys.bucket_of(owner) != keys.bucket_of(ANA)]
        broken = await session_with(store, "hello")
        for owner in others:
            await session_with(store, "hello", owner=owner)
        for key in (keys.session(ANA, broken), keys.failed(keys.bucket_of(ANA))):
            everything.delete(key)
            everything.set(key, "of another type")
        assert {claim.owner for claim in await claim(store, 100)} == set(others)


class TestFinishing:
    async def test_leaves_nothing_but_the_markers_of_exchanges(self, store: StateStore, everything: Everything) -> None:
        before = set(everything.keys("*"))
        session_id = await session_with(store, "hello")
        await store.lay_block(ANA, session_id, LaidBlock("r", "e", "turn", "block"), most_bytes=1_000)
        claimed = await claim_one(store)

        assert await store.finish(claimed)

        left = set(everything.keys("*")) - before
        assert [key for key in left if ":exchange:" not in key] == []
        assert all(0 < everything.ttl(key) <= 24 * 60 * 60 for key in left), "the markers have to go by themselves"
        assert await store.finish(claimed), "finishing again, as after an answer that was lost, says the same"
        assert (await resolve(store, at=DUE)).created

    async def test_a_commit_meanwhile_wins(self, store: StateStore) -> None:
        session_id = await session_with(store, "hello")
        claimed = await claim_one(store)
        assert await commit(store, session_id, 1, "one more thing", at=DUE) is CommitResult.STORED

        assert not await store.finish(claimed), "what was said while the session was processed would be lost"
        assert not await store.extend(claimed, LEASE, now_ms=DUE)
        again = await claim_one(store, at=DUE + TIMEOUT * SECOND)
        assert sorted(await texts_in(store, session_id)) == ["hello", "one more thing"]
        assert again.attempts == 1, "attempts count since the user's last activity"

    async def test_a_late_worker_decides_nothing(self, store: StateStore) -> None:
        session_id = await session_with(store, "hello")
        late = await claim_one(store)
        heir = await claim_one(store, at=DUE + LEASE * SECOND)

        await store.postpone(late, 9999, "late", counts=True, now_ms=DUE)
        await store.set_failed(late, "late", now_ms=DUE)
        assert not await store.finish(late)
        assert await texts_in(store, session_id) == ["hello"]
        assert await store.failed() == []
        assert await store.finish(heir), "the lease of the other worker was broken"

        record = Session(id=session_id, created_at=NOW, last_at=NOW, timeout_seconds=TIMEOUT, message_count=0)
        await store.restore(ANA, record, (), now_ms=DUE)
        assert not await store.finish(late), "the session was reopened"

    async def test_keeps_the_newer_current_session(self, store: StateStore) -> None:
        await session_with(store, "old")
        claimed = await claim_one(store)
        newer = await resolve(store, at=DUE)
        assert await store.finish(claimed)
        assert (await resolve(store, at=DUE)).session_id == newer.session_id


class TestPostponing:
    async def test_the_session_is_due_again_after_the_delay_and_only_faults_count(self, store: StateStore) -> None:
        await session_with(store, "hello")
        await store.postpone(await claim_one(store), 30, "Qdrant is unreachable", counts=False, now_ms=DUE)
        assert await claim(store, at=DUE + 30 * SECOND - 1) == []
        again = await claim_one(store, at=DUE + 30 * SECOND)
        assert again.attempts == 1, "an outage does not count as an attempt"
        await store.postpone(again, 0, "a fault", counts=True, now_ms=DUE)
        assert (await claim_one(store)).attempts == 2


class TestSettingAside:
    async def fail(self, store: StateStore, *, owner: Owner = ANA) -> str:
        session_id = await session_with(store, "poison", owner=owner)
        await store.set_failed(await claim_one(store), "cannot be understood", now_ms=DUE)
        return session_id

    async def test_a_failed_session_is_kept_and_listed_but_not_due(self, store: StateStore) -> None:
        session_id = await self.fail(store)
        assert await store.failed() == [(ANA, session_id, "cannot be understood")]
        assert await claim(store, at=DUE * 2) == []
        assert await texts_in(store, session_id) == ["poison"]
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
        claims = await claim(store)
        assert {(claim.session_id, claim.attempts) for claim in claims} == {(of_ana, 1), (of_ben, 1)}
        assert await store.failed() == []
        assert await store.requeue_failed(now_ms=DUE) == 0


async def test_depth_counts_what_is_due_waiting_and_failed(store: StateStore) -> None:
    for number, owner in enumerate(await users(store, 4)):
        await session_with(store, "hello", owner=owner, at=NOW + number)
    [failing] = await claim(store, 1)
    await store.set_failed(failing, "reason", now_ms=DUE)
    await claim(store, 1, at=DUE + 1)
    assert await store.depth(now_ms=DUE + 2) == {"due": 1, "waiting": 2, "failed": 1}


def test_an_owners_bucket_never_changes() -> None:
    """The bucket is part of stored keys: another one after an upgrade would lose what is there."""
    assert [keys.bucket_of(Owner("acme", user)) for user in ("ana", "ben", "ça")] == [12, 2, 1]
    assert keys.session(ANA, "s").startswith("{recallr:12}:session:")
    assert keys.BUCKETS == 16
