"""A worker of a gateway, while somebody embeds everything anew: what it reads, what it loads, how it follows."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from recallr_litellm.core.options import RecallOptions
from recallr_litellm.core.owner import Owner
from recallr_litellm.errors import EmbeddingUnavailable
from recallr_litellm.gateway.generations import Generation, Generations
from recallr_litellm.gateway.reindexing import Reindexing
from recallr_litellm.memory.processing import Processor
from recallr_litellm.recall import Recall
from recallr_litellm.recall.agentic import Investigation
from recallr_litellm.reindex import LEASE_SECONDS
from recallr_litellm.stores.circuit_breaker import CircuitBreaker
from recallr_litellm.stores.embedding import Embedder, SparseEncoder
from recallr_litellm.stores.state import StateStore
from recallr_litellm.stores.state.board import Board, Phase, Progress, Wanted
from recallr_litellm.stores.vectors import Collections, VectorStore
from recallr_litellm.tasks import end
from tests.unit.reindex.kit import ADA, NEW, OLD, Hashing, Remembering, assert_embedded_with, reindex, stored

pytestmark = pytest.mark.parametrize("make_collections", ["edge"], indirect=True)


@dataclass
class Model(Hashing):
    """A model that tells whether it is open, and whose loading can be held up."""

    is_open: bool = False
    may_load: asyncio.Event = field(default_factory=asyncio.Event)

    async def open(self) -> None:
        await self.may_load.wait()
        await super().open()
        self.is_open = True

    async def close(self) -> None:
        self.is_open = False


class Worker:
    """What a gateway is made of, without the gateway."""

    def __init__(self, vectors: VectorStore, collections: Collections, board: Board, state: StateStore) -> None:
        self.collections = collections
        self.board = board
        self.state = state
        self.sparse = SparseEncoder()
        self.old, self.new = Model(*OLD), Model(*NEW)
        self.old.may_load.set()
        self.state_breaker = CircuitBreaker("redis", state.probe)
        self.vectors_breaker = CircuitBreaker("qdrant", self.probe)
        self.moved: list[Generation] = []
        self.generations = Generations(
            self.make(vectors, self.old),
            collections,
            board,
            make=self.make,
            embedder=lambda model: {self.old.name: self.old, self.new.name: self.new}[model],
            where="the worker",
            moved=self.moved.append,
        )
        self.reindexing = Reindexing(self.generations, collections, self.sparse, board, where="the worker")

    async def probe(self) -> None:
        with self.generations.using() as generation:
            await generation.open()

    def make(self, vectors: VectorStore, embedder: Embedder) -> Generation:
        recall = Recall(vectors, embedder, self.sparse)
        processor = Processor(
            self.state,
            vectors,
            embedder,
            self.sparse,
            state_breaker=self.state_breaker,
            embedding_breaker=self.state_breaker,
            vectors_breaker=self.vectors_breaker,
            interval=0.05,
            lease_seconds=1.0,
            max_attempts=3,
        )
        return Generation(vectors, embedder, recall, Investigation(recall, vectors, None), processor)

    @asynccontextmanager
    async def working(self, *works: Callable[[], Awaitable[None]]) -> AsyncIterator[None]:
        """Do these meanwhile, as a gateway does in the background."""
        tasks = [asyncio.ensure_future(work()) for work in works]
        try:
            yield
        finally:
            await self.reindexing.stop()
            await end(tasks)  # type: ignore[arg-type]

    async def reader(self) -> tuple[tuple[str, ...], str, tuple[str, ...], str]:
        """What the board knows of it: collections, model, ready models, problem."""
        [found] = await self.board.readers()
        return found.collections, found.model, found.ready, found.problem


@pytest.fixture
async def worker(memory: Remembering, collections: Collections, board: Board, valkey_url: str) -> AsyncIterator[Worker]:
    await memory.session(ADA, "s1", "My cat is called Felix.")
    state = StateStore.from_url(valkey_url, timeout_seconds=5)
    worker = Worker(memory.vectors, collections, board, state)
    await worker.state_breaker.probe()
    yield worker
    await worker.generations.close()
    await state.close()


async def until(probe: Callable[[], Awaitable[bool]], what: str) -> None:
    """Look again and again until it is so; the test fails after half a minute."""
    try:
        async with asyncio.timeout(30):
            while not await probe():
                await asyncio.sleep(0.05)
    except TimeoutError:
        raise AssertionError(f"not within 30 s: {what}") from None


async def recalled(generation: Generation, question: str) -> list[str]:
    options = RecallOptions(min_top_k=1, max_top_k=1)
    found = await generation.recall(ADA, question, options, exclude_sessions=frozenset())
    return [memory.text for memory in found.memories]


async def copy_by_another_process(worker: Worker) -> None:
    """What `recallr reindex` does beside a gateway; the old collection is kept, as long as it is read at least."""
    model = Hashing(*NEW)
    running = asyncio.create_task(reindex(worker.collections, model, worker.sparse, worker.board, keep_old=True))

    async def switched() -> bool:
        await worker.generations.look()
        return running.done()

    await until(switched, "the reindex comes to its end, and the worker follows meanwhile")
    await running


async def test_it_follows_with_collection_and_model_at_once(worker: Worker) -> None:
    worker.new.may_load.set()
    await worker.vectors_breaker.probe()
    before = worker.generations.current
    await copy_by_another_process(worker)
    after = worker.generations.current
    assert worker.moved == [after] != [before], "the move was not told"
    assert (after.collection, after.embedder) == (await worker.collections.current(), worker.new)
    assert await recalled(after, "What is my cat called?"), "nothing is found in the new collection"
    assert await worker.reader() == ((after.collection,), worker.new.name, (), "")


async def test_a_request_keeps_the_pair_it_began_with(worker: Worker) -> None:
    worker.new.may_load.set()
    await worker.vectors_breaker.probe()
    with worker.generations.using() as generation:
        running = asyncio.create_task(copy_by_another_process(worker))

        async def moved() -> bool:
            return bool(worker.moved)

        await until(moved, "the worker has followed")
        await worker.generations.look()
        collections, *_ = await worker.reader()
        assert set(collections) == {generation.collection, worker.generations.current.collection}, (
            "it is not told that the old collection is still read: it would be deleted"
        )
        assert worker.old.is_open, "the model was freed under a request"
        assert await recalled(generation, "What is my cat called?") == ["My cat is called Felix."]
    await running

    async def freed() -> bool:
        return not worker.old.is_open

    await until(freed, "the old model is freed once nobody uses it")


async def test_it_loads_the_model_of_a_reindex_that_runs_and_frees_it_when_that_is_given_up(worker: Worker) -> None:
    await worker.vectors_breaker.probe()
    lease = await worker.board.take_lease(LEASE_SECONDS)
    assert lease is not None
    await worker.board.report(Progress(model=worker.new.name))
    await worker.generations.look()
    await worker.generations.look()
    assert (await worker.reader())[2:] == ((), ""), "it says that it is ready before the model is loaded"
    worker.new.may_load.set()

    async def ready() -> bool:
        await worker.generations.look()
        return (await worker.reader())[2] == (worker.new.name,)

    await until(ready, "the worker is ready to follow")
    assert worker.generations.current.embedder is worker.old, "it has followed before the switch"

    await lease.release()
    await worker.generations.look()
    assert not worker.new.is_open, "a model that nobody needs any more stays in memory"


async def test_until_the_model_is_loaded_the_old_pair_serves(worker: Worker) -> None:
    await worker.vectors_breaker.probe()
    before = worker.generations.current
    await reindex_at_once(worker)
    await worker.generations.look()
    assert worker.generations.current is before
    assert await recalled(before, "What is my cat called?") == ["My cat is called Felix."]

    worker.new.may_load.set()

    async def moved() -> bool:
        await worker.generations.look()
        return worker.generations.current.embedder is worker.new

    await until(moved, "the worker follows when the model is there")


async def test_where_the_model_cannot_be_loaded_it_does_not_go_on_with_the_old_pair(worker: Worker) -> None:
    worker.new.fault = "no such model"
    worker.new.may_load.set()
    await worker.vectors_breaker.probe()
    await reindex_at_once(worker)

    async def moved() -> bool:
        await worker.generations.look()
        return bool(worker.moved)

    await until(moved, "the worker has left the old collection")
    assert not await worker.vectors_breaker.probe()
    assert isinstance(worker.vectors_breaker.error, EmbeddingUnavailable), "requests are not told why: reason=embedding"
    assert "no such model" in str(worker.vectors_breaker.error)
    with pytest.raises(EmbeddingUnavailable):
        await worker.generations.current.open()

    async def left() -> bool:
        await worker.generations.look()
        return (await worker.reader())[0] == (await worker.collections.current(),)

    await until(left, "it says that it does not read the old collection any more")


async def test_before_it_has_read_anything_it_follows_nothing(worker: Worker) -> None:
    worker.new.may_load.set()
    await reindex_at_once(worker)
    await worker.generations.look()
    assert worker.moved == [], "it has moved to a model that its settings do not name, at its start"


async def test_sessions_that_end_after_the_switch_are_made_memory_in_the_new_collection(worker: Worker) -> None:
    worker.new.may_load.set()
    await worker.vectors_breaker.probe()
    async with worker.working(worker.generations.process):
        await say(worker.state, "before", "I said this before.")
        await until_processed(worker.state, "before")
        await copy_by_another_process(worker)
        await worker.vectors_breaker.probe()
        await say(worker.state, "after", "I said this afterwards.")
        await until_processed(worker.state, "after")
    vectors = worker.generations.current.vectors
    for session in ("before", "after"):
        assert await vectors.get_session(ADA, session) is not None, f"the session {session!r} is lost"
    await assert_embedded_with(worker.new, worker.sparse, worker.collections)


async def test_it_does_a_reindex_that_it_is_asked_for_and_stops_when_nobody_asks_any_more(worker: Worker) -> None:
    worker.new.may_load.set()
    await worker.vectors_breaker.probe()
    held = asyncio.Event()
    worker.new.before_each = held.wait  # type: ignore[assignment]
    old_name = await worker.collections.current()

    async def phase(wanted: Wanted, *phases: Phase) -> bool:
        progress = await worker.board.progress()
        return progress is not None and progress.wanted == wanted.id and progress.phase in phases

    async with worker.working(worker.generations.follow, worker.reindexing.serve):
        given_up = Wanted(id="1", model=worker.new.name)
        await worker.board.ask(given_up)
        await until(lambda: phase(given_up, Phase.COPYING), "it has begun")
        await worker.board.ask_no_more(given_up)
        await until(lambda: phase(given_up, Phase.STOPPED), "it has stopped")
        assert await worker.collections.current() == old_name

        held.set()
        wanted = Wanted(id="2", model=worker.new.name)
        await worker.board.ask(wanted)
        await until(lambda: phase(wanted, Phase.DONE), "it is done")
    assert worker.generations.current.embedder is worker.new
    assert await worker.collections.all() == [await worker.collections.current()] != [old_name]
    await assert_embedded_with(worker.new, worker.sparse, worker.collections)


async def reindex_at_once(worker: Worker) -> None:
    """Switch, as a reindex does that has waited for the worker long enough."""
    for reader in await worker.board.readers():
        await worker.board.leave(reader.id)
    await reindex(worker.collections, Hashing(*NEW), worker.sparse, worker.board, keep_old=True)


async def say(state: StateStore, session: str, text: str, owner: Owner = ADA) -> None:
    """A session of one message that ended long ago."""
    await state.remember_user(owner)
    long_ago = time.time_ns() // 1_000_000 - 3_600_000
    found = await state.resolve(
        owner, new_session_id=session, timeout_seconds=1, default_timeout_seconds=1, now_ms=long_ago
    )
    await state.commit(
        owner,
        session,
        exchange=session,
        expected_version=found.version,  # type: ignore[union-attr]
        add=[stored(text, 0)],
        drop=[],
        final=True,
        now_ms=long_ago,
    )


async def until_processed(state: StateStore, session: str) -> None:
    async def gone() -> bool:
        return await state.load(ADA, session) is None

    await until(gone, f"the session {session!r} is made memory")
