"""Where a reindex and the gateways tell each other how far they are; on each kind of Redis."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from recallr_litellm.stores.state import StateStore, keys
from recallr_litellm.stores.state.board import Board, Phase, Progress, Reader, Wanted
from tests.unit.stores.state_kit import ANA, BEN, NOW, SECOND, TIMEOUT, Everything, session_with

pytest_plugins = ["tests.unit.stores.state_fixtures"]

DUE = NOW + TIMEOUT * SECOND
OLD, NEW = "recallr", "recallr-reindexed-2"


@pytest.fixture
async def board(state_url: str) -> AsyncIterator[Board]:
    board = Board.from_url(state_url, timeout_seconds=20)
    yield board
    await board.close()


class TestRetired:
    async def test_no_session_is_claimed_for_a_retired_collection(self, store: StateStore, board: Board) -> None:
        ids = {await session_with(store, "hello", owner=owner) for owner in (ANA, BEN)}
        await board.retire(OLD, 60)
        assert await store.claim(10, lease_seconds=5, into=OLD, now_ms=DUE) == []
        claims = await store.claim(10, lease_seconds=5, into=NEW, now_ms=DUE)
        assert {claim.session_id for claim in claims} == ids, "sessions wait that could be made memory in the new one"
        for claim in claims:
            assert await store.finish(claim)

    async def test_what_was_claimed_before_is_not_finished_and_is_due_again_after_its_lease(
        self, store: StateStore, board: Board
    ) -> None:
        id = await session_with(store, "hello")
        [claim] = await store.claim(10, lease_seconds=5, into=OLD, now_ms=DUE)
        await board.retire(OLD, 60)
        assert not await store.finish(claim), "it leaves Redis, although the last of the old collection was copied"
        [again] = await store.claim(10, lease_seconds=5, into=NEW, now_ms=DUE + 5 * SECOND)
        assert again.session_id == id
        assert [stored.message.text for stored in again.snapshot.messages] == ["hello"]

    async def test_reinstated_it_goes_on(self, store: StateStore, board: Board) -> None:
        await session_with(store, "hello")
        await board.retire(OLD, 60)
        await board.reinstate()
        [claim] = await store.claim(10, lease_seconds=5, into=OLD, now_ms=DUE)
        assert await store.finish(claim)

    async def test_it_ends_by_itself(self, board: Board, everything: Everything) -> None:
        await board.retire(OLD, 60)
        left = [everything.ttl(keys.retired(bucket)) for bucket in range(keys.BUCKETS)]
        assert all(0 < seconds <= 60 for seconds in left), f"sessions would wait for ever: {left}"

    async def test_that_it_has_ended_in_one_bucket_is_told(self, board: Board, everything: Everything) -> None:
        await board.retire(OLD, 60)
        assert await board.keep_retired(OLD, 600)
        assert everything.ttl(keys.retired(9)) > 60, "it was not prolonged"
        everything.delete(keys.retired(9))
        assert not await board.keep_retired(OLD, 60)
        assert not await board.keep_retired(OLD, 60), "it is retired again by being asked for"


class TestLease:
    async def test_one_at_a_time(self, board: Board) -> None:
        assert await board.lease_left() == 0
        lease = await board.take_lease(30)
        assert lease is not None
        assert await board.take_lease(30) is None
        assert 20 < await board.lease_left() <= 30
        await lease.release()
        assert await board.lease_left() == 0
        assert await board.take_lease(30) is not None

    async def test_it_is_kept_as_long_as_it_is_ones_own(self, board: Board, everything: Everything) -> None:
        lease = await board.take_lease(30)
        assert lease is not None
        everything.pexpire(keys.reindex("lease"), 5000)
        assert await lease.keep()
        assert await board.lease_left() > 20, "it was not prolonged"
        everything.delete(keys.reindex("lease"))
        assert not await lease.keep(), "it is not told that it is lost"
        other = await board.take_lease(30)
        assert other is not None
        assert not await lease.keep()
        await lease.release()
        assert await other.keep(), "the lease of another one was released"


class TestReaders:
    async def test_those_that_announced_themselves_of_late_are_told(self, board: Board, everything: Everything) -> None:
        assert await board.readers() == []
        readers = [Reader(id=id, where=f"gateway {id}", collections=(OLD,), model="m") for id in ("a", "b", "c")]
        for reader in readers:
            await board.announce(reader)
        assert await board.readers() == readers
        assert 0 < everything.ttl(keys.reindex("reader", "a")) <= 10, "one that was killed would count for ever"

        everything.delete(keys.reindex("reader", "a"))
        await board.leave("b")
        changed = readers[2].model_copy(update={"collections": (NEW,), "ready": ("n",), "problem": "x"})
        await board.announce(changed)
        assert await board.readers() == [changed]
        assert everything.smembers(keys.reindex("readers")) == {"c"}, "ids of those that are gone pile up"


async def test_what_is_wanted_and_how_far_it_is(board: Board, everything: Everything) -> None:
    assert (await board.wanted(), await board.progress()) == (None, None)
    wanted = Wanted(id="1", model="litellm/x", keep_old=True)
    other = Wanted(id="2", model="litellm/y")
    assert await board.ask(wanted)
    assert not await board.ask(other), "the work for one command is thrown away for another"
    assert await board.ask(wanted), "it cannot be asked for any longer"
    assert await board.wanted() == wanted
    assert 0 < everything.ttl(keys.reindex("wanted")) <= 15, "a gateway would go on for a command that was killed"
    assert 0 < await board.wanted_left() <= 15
    await board.ask_no_more(other)
    assert await board.wanted() == wanted, "one command has taken back what another one asked for"
    await board.ask_no_more(wanted)
    assert await board.wanted() is None

    progress = Progress(model="litellm/x", source=OLD, target=NEW, phase=Phase.CATCHING_UP, total=3, done=2, where="w")
    await board.report(progress)
    assert await board.progress() == progress
    assert not progress.phase.is_last
