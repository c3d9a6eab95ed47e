"""A reindex: what is the same after it, what is written while it runs, where it can be stopped and taken up again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from recallr_litellm.core.owner import Owner
from recallr_litellm.errors import ConfigurationError, EmbeddingUnavailable, StateUnavailable, VectorsUnavailable
from recallr_litellm.reindex import LEASE_SECONDS, Reindex
from recallr_litellm.stores.embedding import SparseEncoder
from recallr_litellm.stores.state import keys
from recallr_litellm.stores.state.board import Board, Phase, Reader
from recallr_litellm.stores.vectors import Collections, VectorStore
from recallr_litellm.stores.vectors.collections import describe
from tests.support.qdrant_server import QdrantServer
from tests.unit.reindex.kit import (
    ADA,
    BOB,
    EVE,
    NEW,
    OLD,
    OWNERS,
    Hashing,
    Remembering,
    assert_embedded_with,
    per_owner,
    reindex,
    remembered,
)

SESSIONS = 3
EDGE_ONLY = pytest.mark.parametrize("make_collections", ["edge"], indirect=True)
"""For what does not depend on the engine."""


@pytest.fixture(autouse=True)
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recallr_litellm.reindex.copying._PAGE", 10)
    monkeypatch.setattr("recallr_litellm.reindex.copying._PORTION", 4)


@pytest.fixture
def new() -> Hashing:
    return Hashing(*NEW)


@pytest.fixture
async def filled(memory: Remembering) -> Remembering:
    """Users with sessions whose ids are alike."""
    for owner in OWNERS:
        for number in range(SESSIONS):
            await memory.session(owner, f"s{number}", f"{owner.user} of {owner.project} has {number} cats.", "Good.")
    return memory


class Once:
    """Does something the first time that it is awaited; `done` tells that it was."""

    def __init__(self, act: Callable[[], Coroutine[Any, Any, object]], *, after: int = 0) -> None:
        self._act = act
        self._left = after
        self.done = False

    async def __call__(self) -> None:
        self._left -= 1
        if self._left < 0 and not self.done:
            self.done = True
            await self._act()


def number_of_texts() -> int:
    """Passages and summaries in `filled`."""
    return len(OWNERS) * SESSIONS * (2 * 2 + 1)


async def test_everything_is_embedded_anew_and_nothing_else_changes(
    filled: Remembering, collections: Collections, board: Board, sparse: SparseEncoder, new: Hashing
) -> None:
    before, counts = await remembered(collections), await per_owner(collections)
    old_name = await collections.current()

    ended = await reindex(collections, new, sparse, board)

    assert ended.phase is Phase.DONE
    assert await remembered(collections) == before, "a point was lost, doubled or changed"
    assert await per_owner(collections) == counts, "a point has changed its owner"
    assert len(new.embedded) == number_of_texts(), "a text was embedded twice, or not at all"
    assert ended.done == ended.total == len(before), "the progress is not that of what was done"
    await assert_embedded_with(new, sparse, collections)
    assert await collections.all() == [await collections.current()] != [old_name], "the old collection is still there"


@pytest.mark.parametrize("portions", [2, 11], ids=["before it is copied", "after it was copied"])
async def test_what_is_written_meanwhile_is_there_and_what_was_replaced_does_not_come_back(
    filled: Remembering, collections: Collections, board: Board, sparse: SparseEncoder, new: Hashing, portions: int
) -> None:
    async def write() -> None:
        await filled.session(ADA, "s0", "Only this is left of the session.")
        await filled.session(ADA, "new", "A session that was made memory meanwhile.")
        await filled.session(BOB, f"s{SESSIONS - 1}", "bob of acme has 2 cats.", "Another branch.", "More apples.")
        await filled.user(Owner("acme", "created meanwhile"))

    new.before_each = meanwhile = Once(write, after=portions)
    await reindex(collections, new, sparse, board)
    new.before_each = None

    assert meanwhile.done
    store = VectorStore(collections.engine(await collections.current()), new)
    await store.open()

    async def texts(owner: Owner, session: str) -> list[str]:
        return [stored.message.text for stored in await store.read_messages(owner, session)][:-1]

    assert await texts(ADA, "s0") == ["Only this is left of the session."], "a replaced branch came back"
    assert await texts(ADA, "new") == ["A session that was made memory meanwhile."]
    assert await texts(BOB, f"s{SESSIONS - 1}") == ["bob of acme has 2 cats.", "Another branch.", "More apples."]
    assert await texts(EVE, "s0") == ["ada of globex has 0 cats.", "Good."], "a user of the same name was mixed up"
    assert await store.get_user(Owner("acme", "created meanwhile")) is not None, "a user was lost"
    await assert_embedded_with(new, sparse, collections)


async def test_while_it_switches_no_session_is_made_memory_in_the_old_collection(
    filled: Remembering,
    collections: Collections,
    board: Board,
    sparse: SparseEncoder,
    new: Hashing,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    old_name = await collections.current()
    seen: list[set[str | None]] = []

    async def look() -> None:
        seen.append({await board._client.get(keys.retired(bucket)) for bucket in range(keys.BUCKETS)})

    switch = collections.switch

    async def switching(name: str) -> None:
        await look()
        await switch(name)
        await filled.user(Owner("acme", "created late"))  # a request at a gateway that has not followed yet

    new.before_each = Once(look)
    monkeypatch.setattr(collections, "switch", switching)
    await reindex(collections, new, sparse, board)
    await look()

    assert seen[0] == {None}, "sessions wait although everything is still to be copied"
    assert seen[1] == {old_name}, "sessions are made memory while the last of it is copied"
    assert seen[2] == {old_name}, "a worker that was held up can still make memory in the old collection"
    store = VectorStore(collections.engine(await collections.current()), new)
    await store.open()
    assert await store.get_user(Owner("acme", "created late")) is not None, "a user created at the last moment is lost"


@EDGE_ONLY
async def test_a_switch_that_was_held_up_too_long_looks_once_more(
    filled: Remembering,
    collections: Collections,
    board: Board,
    sparse: SparseEncoder,
    new: Hashing,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    keep = board.keep_retired

    async def held_up() -> None:
        await board.reinstate()  # its time is over, and a session is made memory
        await filled.session(ADA, "late", "Made memory while the reindex was held up.")

    hold_up = Once(held_up)

    async def keep_retired(collection: str, seconds: float) -> bool:
        await hold_up()
        return await keep(collection, seconds)

    monkeypatch.setattr(board, "keep_retired", keep_retired)
    await reindex(collections, new, sparse, board)

    assert hold_up.done
    store = VectorStore(collections.engine(await collections.current()), new)
    await store.open()
    assert await store.read_messages(ADA, "late"), "a session that was finished in the old collection is lost"


@pytest.mark.parametrize("portions", [0, 2, 5])
async def test_stopped_while_copying_it_goes_on_and_embeds_nothing_twice(
    filled: Remembering,
    collections: Collections,
    make_collections: Callable[[], Collections],
    board: Board,
    sparse: SparseEncoder,
    new: Hashing,
    portions: int,
) -> None:
    before, old_name = await remembered(collections), await collections.current()

    async def stop() -> None:
        running.cancel()
        await asyncio.sleep(0)

    new.before_each = Once(stop, after=portions)
    lease = await board.take_lease(LEASE_SECONDS)
    assert lease is not None
    running = asyncio.create_task(Reindex(collections, new, sparse, board, where="the first").run(lease))
    with pytest.raises(asyncio.CancelledError):
        await running
    first = len(new.embedded)
    progress = await board.progress()
    assert progress is not None
    assert (progress.phase, progress.where) == (Phase.STOPPED, "the first")
    assert await collections.current() == old_name, "it was switched to a collection that is not whole"
    await assert_embedded_with(Hashing(*OLD), sparse, collections)

    await reindex(collections, new, sparse, board)

    assert await remembered(collections) == before
    assert len(new.embedded) == number_of_texts(), f"{first} texts were embedded, and then some of them again"
    await assert_embedded_with(new, sparse, collections)


@EDGE_ONLY
async def test_stopped_while_it_switches_sessions_are_made_memory_again_at_once(
    filled: Remembering,
    collections: Collections,
    board: Board,
    sparse: SparseEncoder,
    new: Hashing,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def fail(*_: object) -> bool:
        raise ConfigurationError("it goes wrong")

    monkeypatch.setattr(board, "keep_retired", fail)
    with pytest.raises(ConfigurationError, match="goes wrong"):
        await reindex(collections, new, sparse, board)
    assert {await board._client.get(keys.retired(bucket)) for bucket in range(keys.BUCKETS)} == {None}
    assert await board.lease_left() == 0, "the next one would have to wait for the lease of this one"
    progress = await board.progress()
    assert progress is not None
    assert (progress.phase, progress.note) == (Phase.FAILED, "it goes wrong")


async def test_the_old_collection_stays_as_long_as_a_gateway_reads_it(
    filled: Remembering, collections: Collections, board: Board, sparse: SparseEncoder, new: Hashing
) -> None:
    old_name = await collections.current()
    reader = Reader(id="g", where="a gateway", collections=(old_name,), model="old-model", ready=("new-model",))
    await board.announce(reader)
    running = asyncio.create_task(reindex(collections, new, sparse, board))
    while (progress := await board.progress()) is None or progress.phase is not Phase.CLEARING:
        await asyncio.sleep(0.05)
    await asyncio.sleep(0.5)
    assert old_name in await collections.all(), "deleted while a gateway reads it"
    assert await collections.current() != old_name

    await board.announce(reader.model_copy(update={"collections": (await collections.current(),)}))
    await running
    assert old_name not in await collections.all(), "kept although nobody reads it"


@EDGE_ONLY
async def test_a_gateway_that_loads_the_model_is_waited_for_and_one_that_cannot_is_not(
    filled: Remembering, collections: Collections, board: Board, sparse: SparseEncoder, new: Hashing
) -> None:
    old_name = await collections.current()
    reader = Reader(id="g", where="a gateway", collections=(old_name,), model="old-model")
    await board.announce(reader)
    running = asyncio.create_task(reindex(collections, new, sparse, board, keep_old=True))
    while (progress := await board.progress()) is None or progress.phase is not Phase.SWITCHING:
        await asyncio.sleep(0.05)
    await asyncio.sleep(0.5)
    assert await collections.current() == old_name, "switched before a gateway could follow"
    await board.announce(reader.model_copy(update={"problem": "no such model"}))
    while await collections.current() == old_name:
        await asyncio.sleep(0.05)
    await board.leave("g")
    await running


async def test_what_was_left_by_one_that_died_after_the_switch_is_cleared_up(
    filled: Remembering,
    collections: Collections,
    board: Board,
    sparse: SparseEncoder,
    new: Hashing,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    old_name = await collections.current()
    with monkeypatch.context() as patch:

        async def die() -> list[Reader]:
            if await collections.current() != old_name:
                raise ConfigurationError("died")
            return []

        patch.setattr(board, "readers", die)
        with pytest.raises(ConfigurationError, match="died"):
            await reindex(collections, new, sparse, board)
    await filled.user(Owner("acme", "created late"))
    embedded = len(new.embedded)

    ended = await reindex(collections, new, sparse, board)

    assert old_name not in await collections.all(), "the old collection is left for ever"
    assert old_name in ended.note, "it is not said what was deleted"
    assert len(new.embedded) == embedded, "something was embedded twice"
    store = VectorStore(collections.engine(await collections.current()), new)
    await store.open()
    assert await store.get_user(Owner("acme", "created late")) is not None, "a user in the old collection is lost"


@EDGE_ONLY
async def test_with_the_same_model_there_is_nothing_to_do_unless_asked_for(
    filled: Remembering, collections: Collections, board: Board, sparse: SparseEncoder
) -> None:
    name, before = await collections.current(), await remembered(collections)
    same = Hashing(*OLD)
    ended = await reindex(collections, same, sparse, board)
    assert "already" in ended.note
    assert (await collections.current(), same.embedded) == (name, [])

    other_build = Hashing(OLD[0], OLD[1], seed=3)
    await reindex(collections, other_build, sparse, board, again=True)
    assert await collections.current() != name
    assert await remembered(collections) == before
    await assert_embedded_with(other_build, sparse, collections)


@EDGE_ONLY
async def test_an_unfinished_one_with_the_same_model_goes_on_without_being_asked_again(
    filled: Remembering, collections: Collections, board: Board, sparse: SparseEncoder
) -> None:
    other_build = Hashing(OLD[0], OLD[1], seed=3)

    async def away() -> None:
        other_build.fault = "away"

    other_build.before_each = Once(away, after=2)
    with pytest.raises(EmbeddingUnavailable):
        await reindex(collections, other_build, sparse, board, again=True, patience=0.1)
    other_build.before_each = other_build.fault = None
    await reindex(collections, other_build, sparse, board)
    await assert_embedded_with(other_build, sparse, collections)
    assert len(other_build.embedded) == number_of_texts()


async def test_where_nothing_is_remembered_there_is_nothing_to_do(
    collections: Collections, board: Board, sparse: SparseEncoder, new: Hashing
) -> None:
    ended = await reindex(collections, new, sparse, board)
    assert "Nothing is remembered yet" in ended.note
    assert await collections.all() == [], "a collection was made"


async def test_the_old_collection_can_be_kept_until_the_next_one(
    filled: Remembering, collections: Collections, board: Board, sparse: SparseEncoder, new: Hashing
) -> None:
    old_name, before = await collections.current(), await remembered(collections)
    ended = await reindex(collections, new, sparse, board, keep_old=True)
    assert old_name in ended.note, "it is not said what was kept"
    second = await collections.current()
    assert await collections.all() == sorted([old_name, second])

    third = Hashing("third-model", 8, 1)
    await reindex(collections, third, sparse, board)
    assert await collections.all() == [await collections.current()] != [second]
    assert await remembered(collections) == before
    await assert_embedded_with(third, sparse, collections)


@EDGE_ONLY
@pytest.mark.parametrize("left", [Hashing("abandoned", 24, 1), Hashing(NEW[0], 48)], ids=["model", "dimension"])
async def test_what_another_model_has_begun_is_thrown_away(
    filled: Remembering, collections: Collections, board: Board, sparse: SparseEncoder, new: Hashing, left: Hashing
) -> None:
    async def away() -> None:
        left.fault = "away"

    left.before_each = Once(away, after=1)
    with pytest.raises(EmbeddingUnavailable):
        await reindex(collections, left, sparse, board, patience=0.1)
    await reindex(collections, new, sparse, board)
    found = await describe(collections, await collections.current())
    assert found is not None
    assert (found.model, found.dimension) == (new.name, new.dimension)
    await assert_embedded_with(new, sparse, collections)


@EDGE_ONLY
async def test_only_one_does_it(
    filled: Remembering, collections: Collections, board: Board, sparse: SparseEncoder, new: Hashing
) -> None:
    taken: list[object] = []

    async def try_too() -> None:
        taken.append(await board.take_lease(LEASE_SECONDS))

    new.before_each = Once(try_too)
    await reindex(collections, new, sparse, board)
    assert taken == [None], "two could do it at the same time"
    assert await board.take_lease(LEASE_SECONDS) is not None, "the lease was not released"


@EDGE_ONLY
async def test_one_that_has_lost_its_lease_stops_before_it_switches(
    filled: Remembering,
    collections: Collections,
    board: Board,
    sparse: SparseEncoder,
    new: Hashing,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("recallr_litellm.reindex.job._KEEP_SECONDS", 0.05)
    old_name = await collections.current()

    async def lose() -> None:
        await board._client.flushall()
        await asyncio.sleep(3600)

    new.before_each = Once(lose, after=1)
    with pytest.raises(StateUnavailable, match="another reindex may have begun"):
        await reindex(collections, new, sparse, board)
    assert await collections.current() == old_name


@EDGE_ONLY
async def test_a_model_that_cannot_be_loaded_changes_nothing(
    filled: Remembering, collections: Collections, board: Board, sparse: SparseEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("recallr_litellm.reindex.job._BRIEFLY._seconds", 0.1)
    names = await collections.all()
    with pytest.raises(EmbeddingUnavailable, match="no such model"):
        await reindex(collections, Hashing("unknown", fault="no such model"), sparse, board)
    assert await collections.all() == names, "a collection was made for a model that is not there"


@pytest.mark.parametrize("make_collections", ["server"], indirect=True)
@pytest.mark.parametrize("comes_back", [True, False], ids=["comes back", "stays away"])
async def test_a_store_that_goes_away_is_waited_for_and_then_it_stops(
    filled: Remembering,
    collections: Collections,
    board: Board,
    sparse: SparseEncoder,
    new: Hashing,
    qdrant: QdrantServer,
    comes_back: bool,
) -> None:
    before = await remembered(collections)

    async def go_away() -> None:
        await asyncio.to_thread(qdrant.kill)
        if comes_back:
            asyncio.get_running_loop().run_in_executor(None, qdrant.start)

    new.before_each = away = Once(go_away, after=2)
    if comes_back:
        await reindex(collections, new, sparse, board, patience=120.0)
    else:
        with pytest.raises(VectorsUnavailable):
            await reindex(collections, new, sparse, board, patience=0.5)
        await asyncio.to_thread(qdrant.start)
        await reindex(collections, new, sparse, board)
    assert away.done
    assert await remembered(collections) == before
    await assert_embedded_with(new, sparse, collections)


@EDGE_ONLY
async def test_without_room_on_the_disk_it_does_not_begin(
    filled: Remembering,
    collections: Collections,
    board: Board,
    sparse: SparseEncoder,
    new: Hashing,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import shutil

    names = await collections.all()
    full = shutil.disk_usage("/")._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: full)
    with pytest.raises(ConfigurationError, match="too little room"):
        await reindex(collections, new, sparse, board)
    assert await collections.all() == names
    assert new.embedded == []
