"""Which session a request belongs to, and what its exchange leaves there."""

from __future__ import annotations

import asyncio
import json

import pytest

from recallr_litellm.core.laid import LaidBlock
from recallr_litellm.core.messages import StoredMessage
from recallr_litellm.core.owner import Owner
from recallr_litellm.core.records import Session
from recallr_litellm.stores.state import CommitResult, Resolved, StateStore, UnknownUser, keys
from recallr_litellm.stores.state.sessions import KEPT_BLOCKS, OTHER_SESSIONS
from tests.unit.stores.state_kit import (
    ANA,
    BEN,
    NOW,
    SECOND,
    TIMEOUT,
    Everything,
    commit,
    kept_blocks,
    resolve,
    said,
    session_with,
    texts_in,
    texts_of,
)

pytest_plugins = ("tests.unit.stores.state_fixtures",)


def sent(everything: Everything) -> int:
    """Bytes that Redis has sent."""
    stats = everything.info("stats")
    nodes = [stats] if "total_net_output_bytes" in stats else stats.values()
    return sum(node["total_net_output_bytes"] for node in nodes)


def laid(number: int, text: str = "<memory>") -> LaidBlock:
    return LaidBlock(f"request {number}", f"exchange {number}", "turn", text, 7, "end", ("message#1", "session"))


class TestWhichSession:
    async def test_ninety_concurrent_requests_make_one_session(self, store: StateStore) -> None:
        found = await asyncio.gather(*(resolve(store, at=None) for _ in range(90)))

        assert len({one.session_id for one in found}) == 1, "concurrent requests of a user opened several sessions"
        assert sum(one.created for one in found) == 1, "the session has to be made by exactly one request"

    async def test_a_commit_renews_the_timeout_too(self, store: StateStore) -> None:
        first = await resolve(store, at=NOW)
        answered = NOW + 500 * SECOND
        await commit(store, first.session_id, 0, "long thought about", at=answered)

        assert (await resolve(store, at=answered + 599 * SECOND)).session_id == first.session_id

    async def test_a_timeout_given_by_a_request_replaces_the_sessions(self, store: StateStore) -> None:
        first = await resolve(store, at=NOW)
        longer = await resolve(store, at=NOW, lasting=3600)
        unsaid = await resolve(store, at=NOW + 3000 * SECOND)

        assert first.timeout_seconds == TIMEOUT
        assert longer.timeout_seconds == unsaid.timeout_seconds == 3600, "the timeout has to stay until it is replaced"
        assert unsaid.session_id == first.session_id

    async def test_a_requested_session_is_continued_and_current_from_then_on(self, store: StateStore) -> None:
        old = await session_with(store, "the old matter")
        later = NOW + 700 * SECOND
        new = await session_with(store, "a new matter", at=later)

        back = await resolve(store, requested=old, at=later)

        assert (back.session_id, len(back.entries)) == (old, 1)
        assert back.other_sessions == (new,)
        assert (await resolve(store, at=later)).session_id == old, "a session asked for becomes the current one"

    async def test_an_unknown_user_gets_nothing_created(self, store: StateStore, everything: Everything) -> None:
        stranger = Owner("acme", "stranger")
        before = sorted(everything.keys("*"))

        found = await store.resolve(
            stranger, new_session_id="f" * 32, timeout_seconds=None, default_timeout_seconds=TIMEOUT
        )

        assert found == UnknownUser()
        assert sorted(everything.keys("*")) == before, "a refused request left something behind"

    async def test_a_user_is_known_for_a_day_after_each_use(self, store: StateStore, everything: Everything) -> None:
        (marker,) = (key for key in everything.keys("*:user:*") if ANA.key in key)
        everything.expire(marker, 100)
        await resolve(store)
        assert everything.ttl(marker) > 80_000, "a request has to renew the marker"

    async def test_the_same_call_again_gives_the_same_session(self, store: StateStore) -> None:
        async def call() -> Resolved:
            found = await store.resolve(
                ANA, new_session_id="e" * 32, timeout_seconds=None, default_timeout_seconds=TIMEOUT, now_ms=NOW
            )
            assert isinstance(found, Resolved)
            return found

        assert await call() == await call(), "a call repeated because its answer was lost has to answer the same"

    async def test_other_open_sessions_come_newest_first_and_not_all(self, store: StateStore) -> None:
        far = 700 * SECOND
        ids = [await session_with(store, "hello", at=NOW + number * far) for number in range(OTHER_SESSIONS + 2)]
        empty = await resolve(store, at=NOW + len(ids) * far)
        now = await resolve(store, at=NOW + (len(ids) + 1) * far)

        assert now.other_sessions == tuple(reversed(ids))[:OTHER_SESSIONS]
        assert empty.session_id not in now.other_sessions, "a session without messages is nothing to recall"


class TestCommit:
    async def test_dropped_messages_go_and_a_session_emptied_is_no_longer_open(self, store: StateStore) -> None:
        session_id = await session_with(store, "to be regenerated")
        snapshot = await store.load(ANA, session_id)
        assert snapshot is not None

        dropped = await store.commit(
            ANA,
            session_id,
            exchange="e2",
            expected_version=1,
            add=[],
            drop=[snapshot.messages[0].id, "never-was"],
            final=True,
            now_ms=NOW,
        )

        assert dropped is CommitResult.STORED
        after = await resolve(store, at=NOW + 700 * SECOND)
        assert after.other_sessions == ()

    async def test_a_partial_exchange_overtaken_by_another_conflicts(self, store: StateStore) -> None:
        session = await resolve(store)
        sid = session.session_id
        assert await commit(store, sid, 0, "slow", exchange="slow", final=False) is CommitResult.STORED
        assert await commit(store, sid, 1, "quick", exchange="quick") is CommitResult.STORED
        assert await commit(store, sid, 0, "slow", exchange="slow") is CommitResult.CONFLICT, (
            "what was worked out before the other exchange must not be written over it"
        )
        assert await commit(store, sid, 2, "slow", exchange="slow") is CommitResult.STORED

    async def test_an_exchange_stored_late_does_not_set_the_clock_back(self, store: StateStore) -> None:
        session = await resolve(store, at=NOW)
        await commit(store, session.session_id, 0, "held while Redis was away", at=NOW - 300 * SECOND)

        snapshot = await store.load(ANA, session.session_id)
        assert snapshot is not None
        assert snapshot.last_at == NOW
        assert await store.claim(1, lease_seconds=60, now_ms=NOW + 599 * SECOND) == []

    @pytest.mark.parametrize(
        "text",
        ["naïve — 日本語 🌊", "\x00\r\n\t\"'", "half a pair: \ud83d", "x" * 200_000],
        ids=["unicode", "control", "surrogate", "long"],
    )
    async def test_any_text_comes_back_as_it_went(self, store: StateStore, text: str) -> None:
        owner = Owner("acme", f"user {text[:100]}")
        await store.remember_user(owner)
        session_id = await session_with(store, text, owner=owner)
        await store.lay_block(owner, session_id, laid(1, text), most_bytes=2_000_000)

        (claim,) = await store.claim(1, lease_seconds=60, now_ms=NOW + 600 * SECOND)

        assert await texts_in(store, claim.session_id, owner) == [text]
        assert claim.owner == owner, "the owner has to be rebuilt exactly"
        assert await kept_blocks(store, owner, session_id) == (laid(1, text),)

    async def test_a_partial_exchange_is_completed_by_its_final_commit(self, store: StateStore) -> None:
        session = await resolve(store)

        async def write(text: str, *, final: bool, amends: bool = False, since: int = 0) -> CommitResult:
            answer = said(1, text, role="assistant", exchange="e1", partial=not final)
            return await store.commit(
                ANA,
                session.session_id,
                exchange="e1",
                expected_version=session.version + since,
                add=[said(0, "why?", exchange="e1"), answer],
                drop=[],
                final=final,
                amends=amends,
                now_ms=NOW,
            )

        assert await write("Beca", final=False) is CommitResult.STORED
        assert await write("Beca", final=False) is CommitResult.STORED, "a partial commit has to be repeatable"
        assert await write("Because.", final=True) is CommitResult.STORED
        assert await write("Beca", final=False) is CommitResult.DUPLICATE, "nothing comes after the final commit"
        assert await write("Because. And so.", final=True, amends=True) is CommitResult.CONFLICT, "it is not the base"
        assert await write("Because. And so.", final=True, amends=True, since=3) is CommitResult.STORED
        assert await write("Because.", final=True) is CommitResult.DUPLICATE

        snapshot = await store.load(ANA, session.session_id)
        assert snapshot is not None
        assert texts_of(snapshot.messages) == ["why?", "Because. And so."]
        assert not snapshot.messages[1].partial


class TestWhatARequestReads:
    """An agent's step must not cost more because earlier tools returned much."""

    async def test_what_tools_returned_is_not_read(self, store: StateStore, everything: Everything) -> None:
        session = await resolve(store)
        call = {"exchange": "e1", "drop": [], "final": True, "now_ms": NOW}
        results = [said(number, "x" * 300_000, role="tool", exchange="e1") for number in range(8)]
        await store.commit(ANA, session.session_id, expected_version=0, add=results, **call)

        before = sent(everything)
        opened = await resolve(store)
        shown = await store.read(ANA, session.session_id, [entry.id for entry in opened.entries], most_bytes=1_000_000)

        assert len(opened.entries) == len(shown) == 8
        assert sent(everything) - before < 20_000, "bytes that Redis has sent"
        assert await texts_in(store, session.session_id) == ["x" * 300_000] * 8, "processing reads them whole"

    async def test_texts_are_read_up_to_a_bound_and_one_at_least(self, store: StateStore) -> None:
        session_id = await session_with(store, *(f"{number} " + "x" * 1000 for number in range(9)))
        ids = [entry.id for entry in reversed((await resolve(store)).entries)]

        async def read(most_bytes: int) -> list[str]:
            return [text[0] for text in texts_of(await store.read(ANA, session_id, ids, most_bytes=most_bytes))]

        assert await read(4000) == ["8", "7", "6"]
        assert await read(1) == ["8"], "a message longer than the bound is no reason to show nothing"

    async def test_of_other_sessions_the_newest_messages_are_read(self, store: StateStore) -> None:
        first = await session_with(store, *(f"{number} " + "x" * 1000 for number in range(9)))
        second = await session_with(store, "two", at=NOW + 700 * SECOND)
        of_ben = await session_with(store, "Ben's", owner=BEN)

        found = await store.recent(ANA, [second, "0" * 32, first, of_ben], most_bytes=3500)

        assert [(id, [text[0] for text in texts_of(messages)]) for id, messages in found.items()] == [
            (second, ["t"]),
            (first, ["7", "8"]),
        ]
        assert await store.recent(ANA, [], most_bytes=4000) == {}

    async def test_a_session_of_an_earlier_version_is_read_and_written_to(
        self, store: StateStore, everything: Everything
    ) -> None:
        old = [said(number, f"{number} " + "x" * 20_000) for number in range(25)]
        session = await resolve(store)

        def written_by_0_1(stored: StoredMessage) -> None:
            messages = keys.contents(ANA, session.session_id, "messages")
            everything.hset(messages, stored.id, json.dumps(stored.model_dump()))

        for stored in old:
            written_by_0_1(stored)
        everything.zadd(keys.open_sessions(ANA), {session.session_id: NOW})

        later = await resolve(store, at=NOW + 700 * SECOND)
        found = await store.recent(ANA, [session.session_id], most_bytes=40_000)
        assert later.other_sessions == (session.session_id,)
        assert [text[:2] for text in texts_of(found[session.session_id])] == ["23", "24"]

        back = await resolve(store, requested=session.session_id, at=NOW + 700 * SECOND)
        assert back.entries == tuple(stored.entry for stored in old)
        assert await commit(store, session.session_id, 0, "and now") is CommitResult.STORED
        texts = await texts_in(store, session.session_id)
        assert sorted(texts) == sorted(["and now", *(stored.message.text for stored in old)])

        late = said(25, "y" * 20_000)
        written_by_0_1(late)  # by a worker that is not upgraded yet
        again = await resolve(store, requested=session.session_id, at=NOW + 700 * SECOND)
        assert {stored.entry for stored in (*old, late)} <= {*again.entries}
        assert sorted(await texts_in(store, session.session_id)) == sorted([*texts, late.message.text])


class TestReopening:
    async def test_a_processed_session_is_put_back(self, store: StateStore) -> None:
        session = Session(id="a" * 32, created_at=NOW - 9000, last_at=NOW - 8000, timeout_seconds=900, message_count=1)
        await store.restore(ANA, session, [said(4, "long ago")], now_ms=NOW)

        back = await resolve(store, requested="a" * 32)
        assert back.timeout_seconds == 900
        assert await texts_in(store, "a" * 32) == ["long ago"]
        assert await commit(store, "a" * 32, back.version, "and now") is CommitResult.STORED
        assert await store.claim(1, lease_seconds=60, now_ms=NOW + 899 * SECOND) == [], "it counts as active from now"

        snapshot = await store.load(ANA, "a" * 32)
        assert snapshot is not None
        assert snapshot.created_at == NOW - 9000

    async def test_is_the_current_session_only_where_there_is_none(self, store: StateStore) -> None:
        record = Session(id="a" * 32, created_at=1, last_at=2, timeout_seconds=TIMEOUT, message_count=0)
        current = await resolve(store)
        await store.restore(ANA, record, [], now_ms=NOW)
        await store.restore(BEN, record, [], now_ms=NOW)

        assert (await resolve(store)).session_id == current.session_id
        assert (await resolve(store, BEN)).session_id == "a" * 32

    async def test_a_version_of_its_earlier_life_conflicts(self, store: StateStore) -> None:
        session_id = await session_with(store, "first life")
        (claim,) = await store.claim(1, lease_seconds=60, now_ms=NOW + 600 * SECOND)
        assert await store.finish(claim)
        record = Session(id=session_id, created_at=NOW, last_at=NOW, timeout_seconds=TIMEOUT, message_count=1)
        await store.restore(ANA, record, [said(0, "first life")], now_ms=NOW + 700 * SECOND)

        second = await resolve(store, requested=session_id, at=NOW + 700 * SECOND)
        assert await commit(store, session_id, second.version, "second life") is CommitResult.STORED

        assert await commit(store, session_id, 1, "worked out in its first life") is CommitResult.CONFLICT

    async def test_a_session_that_is_there_is_left_as_it_is(self, store: StateStore) -> None:
        session_id = await session_with(store, "newer than the record")
        record = Session(id=session_id, created_at=1, last_at=2, timeout_seconds=900, message_count=1)
        await store.restore(ANA, record, [said(9, "old")], now_ms=NOW)

        snapshot = await store.load(ANA, session_id)
        assert snapshot is not None
        assert (texts_of(snapshot.messages), snapshot.timeout_seconds) == (["newer than the record"], TIMEOUT)


class TestBlocks:
    async def test_the_newest_blocks_are_kept_with_their_session(self, store: StateStore) -> None:
        session_id = await session_with(store, "hello")
        for number in range(KEPT_BLOCKS + 2):
            await store.lay_block(ANA, session_id, laid(number), most_bytes=100_000)
        kept = await kept_blocks(store, ANA, session_id)
        assert kept == tuple(laid(number) for number in range(KEPT_BLOCKS + 1, 1, -1))
        assert await kept_blocks(store, BEN, session_id) == ()

    async def test_they_come_with_the_session_where_they_are_asked_for(self, store: StateStore) -> None:
        session_id = await session_with(store, "hello")
        await store.lay_block(ANA, session_id, laid(1), most_bytes=100_000)
        assert (await resolve(store)).blocks == ()
        assert (await resolve(store, with_blocks=True)).blocks == (laid(1),)

    async def test_blocks_that_are_gone_or_past_the_bound_are_not_kept(self, store: StateStore) -> None:
        session_id = await session_with(store, "hello")
        for number in range(5):
            await store.lay_block(ANA, session_id, laid(number, "x" * 1_000), most_bytes=3_500)
        assert [block.id for block in await kept_blocks(store, ANA, session_id)] == [f"request {n}" for n in (4, 3, 2)]
        await store.lay_block(ANA, session_id, None, gone=[laid(3, "x" * 1_000)], most_bytes=3_500)
        assert [block.id for block in await kept_blocks(store, ANA, session_id)] == [f"request {n}" for n in (4, 2)]
        await store.lay_block(ANA, session_id, laid(5, "x" * 4_000), most_bytes=3_500)
        assert await kept_blocks(store, ANA, session_id) == (), "one that is too large is not kept, nor what is older"

    async def test_without_a_session_nothing_is_kept(self, store: StateStore, everything: Everything) -> None:
        await store.lay_block(ANA, "0" * 32, laid(1), most_bytes=100_000)
        assert await kept_blocks(store, ANA, "0" * 32) == ()
        assert everything.keys("*:blocks:*") == []
