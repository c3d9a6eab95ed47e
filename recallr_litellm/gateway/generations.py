"""Which collection, and with it which embedding model, this worker reads and writes; and following a reindex.

A collection and the model that its vectors are from are one `Generation`. A request takes the current one and keeps it
to its end; what it was taken from goes on to be open until nobody uses it any more.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress

from recallr_litellm.errors import ConfigurationError, EmbeddingUnavailable, RecallrError, StateUnavailable, Unavailable
from recallr_litellm.memory.processing import Processor
from recallr_litellm.recall import Recall
from recallr_litellm.recall.agentic import Investigation
from recallr_litellm.stores.embedding import Embedder
from recallr_litellm.stores.state.board import Board, Progress, Reader
from recallr_litellm.stores.vectors import Collections, VectorStore
from recallr_litellm.stores.vectors.collections import describe
from recallr_litellm.tasks import end

_log = logging.getLogger(__name__)

_LOOK_SECONDS = 1.0
_TRY_AGAIN_SECONDS = 10.0
"""Until a model that could not be loaded is tried again."""


class LoadedModel:
    """A model that is loaded beside the current one, in the background, until it is there."""

    def __init__(self, embedder: Embedder) -> None:
        self.embedder = embedder
        self.ready = False
        self.problem = ""
        """Why it could not be loaded yet."""
        self.pinned = False
        """A reindex in this process embeds with it."""
        self._loading = asyncio.create_task(self._load())

    async def _load(self) -> None:
        while not self.ready:
            try:
                await self.embedder.open()
            except RecallrError as error:
                if str(error) != self.problem:
                    _log.warning("The embedding model of the reindex cannot be loaded: %s", error)
                self.problem = str(error)
                await asyncio.sleep(_TRY_AGAIN_SECONDS)
            else:
                self.ready, self.problem = True, ""

    async def free(self) -> None:
        """Stop loading it, and let go of it."""
        await end({self._loading})
        await self.embedder.close()


class Generation:
    """A collection and the model that its vectors are from, with what reads and writes them."""

    def __init__(
        self,
        vectors: VectorStore,
        embedder: Embedder,
        recall: Recall,
        investigation: Investigation,
        processor: Processor,
    ) -> None:
        self.vectors = vectors
        self.embedder = embedder
        self.recall = recall
        self.investigation = investigation
        self.processor = processor
        self.collection = ""
        """Its name; empty until it was opened."""
        self.loaded: LoadedModel | None = None
        """What loads `embedder`, where it was not the model of this process from the start."""
        self.left = asyncio.Event()
        """Another one is current."""
        self._users = 0
        self._unused = asyncio.Event()

    async def open(self) -> None:
        """Open both, if need be, and return when both are there.

        Raises:
            Unavailable: one is not, for now or for good.
            ConfigurationError: the collection holds vectors of another model, or cannot be used for another reason.
        """
        if self.loaded is not None and not self.loaded.ready:
            raise EmbeddingUnavailable(self.loaded.problem)
        await self.embedder.open()
        await self.vectors.open()
        await self.vectors.ping()
        self.collection = self.vectors.collection

    @contextmanager
    def used(self) -> Iterator[Generation]:
        """Stays open while the block runs."""
        self._users += 1
        try:
            yield self
        finally:
            self._users -= 1
            if not self._users:
                self._unused.set()

    async def until_unused(self) -> None:
        """Return when no block of `used` runs. Only for one that is left: nobody begins to use it again."""
        while self._users:
            self._unused.clear()
            await self._unused.wait()

    async def free_model(self) -> None:
        """Let go of the model."""
        if self.loaded is not None:
            await self.loaded.free()
        else:
            await self.embedder.close()


class Generations:
    """The current generation of this worker.

    Args:
        make: a generation of a collection and a model.
        embedder: the embedder that `RECALLR_EMBEDDING_MODEL` of that value would mean.
        where: this process, for a person.
        moved: called when another one is current.
    """

    def __init__(
        self,
        first: Generation,
        collections: Collections,
        board: Board,
        *,
        make: Callable[[VectorStore, Embedder], Generation],
        embedder: Callable[[str], Embedder],
        where: str,
        moved: Callable[[Generation], None],
    ) -> None:
        self.current = first
        self._collections = collections
        self._board = board
        self._make = make
        self._embedder = embedder
        self._where = where
        self._moved = moved
        self._id = uuid.uuid4().hex
        self._models: dict[str, LoadedModel] = {}
        self._leaving: dict[asyncio.Task[None], str] = {}

    @contextmanager
    def using(self) -> Iterator[Generation]:
        """The current generation, which stays open while the block runs."""
        with self.current.used() as generation:
            yield generation

    @asynccontextmanager
    async def loading(self, model: str) -> AsyncIterator[Embedder]:
        """The embedder of this model, for a reindex by this process; neither to be opened before nor closed after."""
        if model == self.current.embedder.name:
            yield self.current.embedder
            return
        loaded = self._load(model)
        loaded.pinned = True
        try:
            yield loaded.embedder
        finally:
            loaded.pinned = False

    async def follow(self) -> None:
        """For ever: say what is read, load the model of a reindex that runs, and follow when the store switches."""
        while True:
            with suppress(Unavailable):
                await self.look()
            await asyncio.sleep(_LOOK_SECONDS)

    async def look(self) -> None:
        """Once of `follow`. Raises `Unavailable` when Qdrant does not answer."""
        reindex = await self._tell_and_hear()
        if not self.current.collection:
            return  # nothing has been read yet: what is there has first to fit the settings
        name = await self._collections.current()
        if name != self.current.collection:
            await self._move_to(name)
            return
        if reindex is not None and reindex.model != self.current.embedder.name:
            self._load(reindex.model)
        await self._forget(but=reindex.model if reindex is not None else "")

    async def process(self) -> None:
        """For ever: make memory of due sessions in the current generation."""
        while True:
            generation = self.current
            work = asyncio.create_task(generation.processor.run())
            left = asyncio.create_task(generation.left.wait())
            try:
                await asyncio.wait({work, left}, return_when=asyncio.FIRST_COMPLETED)
                if work.done():
                    work.result()
            finally:
                # What it had claimed is claimed anew when its lease is over.
                await end({work, left})

    async def close(self) -> None:
        """Take back what was said to be read, and free the models."""
        await end(set(self._leaving))
        await self._forget()
        with suppress(StateUnavailable):
            await self._board.leave(self._id)
        await self.current.free_model()

    async def _tell_and_hear(self) -> Progress | None:
        """Announce this worker. The progress of the reindex that runs, if one does and Redis can tell."""
        reader = Reader(
            id=self._id,
            where=self._where,
            collections=tuple(name for name in (*self._leaving.values(), self.current.collection) if name),
            model=self.current.embedder.name,
            ready=tuple(name for name, model in self._models.items() if model.ready),
            problem="; ".join(model.problem for model in self._models.values() if model.problem),
        )
        try:
            await self._board.announce(reader)
            progress = await self._board.progress() if await self._board.lease_left() else None
        except StateUnavailable:
            return None
        return None if progress is None or progress.phase.is_last else progress

    def _load(self, model: str) -> LoadedModel:
        if model not in self._models:
            self._models[model] = LoadedModel(self._embedder(model))
        return self._models[model]

    async def _forget(self, but: str = "") -> None:
        """Free the models that nobody is going to need."""
        for name in [name for name, model in self._models.items() if name != but and not model.pinned]:
            await self._models.pop(name).free()

    async def _move_to(self, name: str) -> None:
        """Follow to another collection; later, if its model is not loaded yet and may still be."""
        described = await describe(self._collections, name)
        if described is None:
            return
        same = described.model == self.current.embedder.name
        loaded = self.current.loaded if same else self._load(described.model)
        if not same and loaded is not None and not loaded.ready and not loaded.problem:
            return
        embedder = loaded.embedder if loaded is not None else self.current.embedder
        generation = self._make(VectorStore(self._collections.engine(name), embedder), embedder)
        generation.loaded = loaded
        with suppress(EmbeddingUnavailable, ConfigurationError):  # then it is said what is wrong, at each request
            await generation.open()
        generation.collection = name
        self._models.pop(described.model, None)
        old, self.current = self.current, generation
        old.left.set()
        leaving = asyncio.create_task(self._leave(old))
        self._leaving[leaving] = old.collection
        leaving.add_done_callback(self._leaving.pop)
        self._moved(generation)
        _log.info("Memory is in %s now, with vectors of %s", name, described.model)

    async def _leave(self, old: Generation) -> None:
        await old.until_unused()
        if old.embedder is not self.current.embedder:
            await old.free_model()
