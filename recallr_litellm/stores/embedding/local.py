"""An embedding model in this process."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import ParamSpec, TypeVar

from recallr_litellm.core.records import Vector
from recallr_litellm.errors import EmbeddingRefused, EmbeddingUnavailable, RecallrError
from recallr_litellm.stores.embedding.base import TextModel, bounded, unit
from recallr_litellm.stores.embedding.queries import QueryCache
from recallr_litellm.tasks import InFlight, give_way

_GIVES_WAY_SECONDS = 0.25
"""Longest time for which a batch of passages waits for queries, so that it has its turn on a busy gateway too."""

BATCH = 8
"""Passages per call of a model in floating point. Sorted by length, 8 is faster than 32 or 1."""

P = ParamSpec("P")
T = TypeVar("T")


class LocalEmbedder:
    """A fastembed model behind two threads: one for queries, one for passages.

    Both use one ONNX session, which any number of threads may run, with a tokenizer that is not
    changed after it is loaded. A query so never stands behind a batch of passages, a batch does not begin while a query
    is embedded, and calls of `passages` at the same time take turns after each batch.
    """

    def __init__(
        self, name: str, load: Callable[[], TextModel], *, dimension: int | None = None, batch: int = BATCH
    ) -> None:
        """
        Args:
            name: stored with the collection.
            load: blocking; called in a thread until it returns once.
            dimension: where it is known before the model is loaded.
            batch: passages per call of the model.
        """
        self.name = name
        self._load = load
        self._dimension = dimension
        self._batch = batch
        self._model: TextModel | None = None
        self._closed = False
        self._query_thread = ThreadPoolExecutor(1, thread_name_prefix="recallr-embed-query")
        self._passage_thread = ThreadPoolExecutor(
            1, thread_name_prefix="recallr-embed-passages", initializer=_lower_priority
        )
        self._querying = InFlight(quiet_seconds=0)
        self._queries = QueryCache(self._query)

    @property
    def dimension(self) -> int:
        if self._dimension is None:
            raise EmbeddingUnavailable(f"the embedding model {self.name} is not open")
        return self._dimension

    async def open(self) -> None:
        if self._model is None:  # once it is there, nobody has to stand behind a batch of passages to hear so
            await self._run(self._passage_thread, self._load_once)

    async def probe(self) -> None:
        """Nothing to do: a loaded model works."""

    async def query(self, text: str, project: str) -> Vector:
        return await self._queries.get(text, project)

    async def passages(self, texts: Sequence[str]) -> list[Vector]:
        prefixes = [bounded(text) for text in texts]
        by_length = sorted(range(len(prefixes)), key=lambda index: len(prefixes[index]))
        vectors: dict[int, Vector] = {}
        for start in range(0, len(by_length), self._batch):
            batch = by_length[start : start + self._batch]
            await give_way()
            await self._querying.quiet(within=_GIVES_WAY_SECONDS)
            embedded = await self._run(self._passage_thread, self._embed_passages, [prefixes[index] for index in batch])
            vectors.update(zip(batch, embedded, strict=True))
        return [vectors[index] for index in range(len(prefixes))]

    async def close(self) -> None:
        self._closed = True
        await asyncio.to_thread(self._stop_threads)
        self._model = None

    async def _query(self, text: str) -> Vector:
        with self._querying.one_more():
            return await self._run(self._query_thread, self._embed_query, text)

    async def _run(self, thread: ThreadPoolExecutor, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        if self._closed:
            raise EmbeddingUnavailable(f"the embedding model {self.name} is closed")
        try:
            return await asyncio.wrap_future(thread.submit(function, *args, **kwargs))
        except RecallrError:
            raise
        except Exception as error:
            # Of this text alone: the model was loaded and has worked. Not the message: it could quote the text.
            raise EmbeddingRefused(f"the embedding model {self.name} failed: {type(error).__name__}") from error

    def _load_once(self) -> None:
        if self._model is None:  # one thread, so a second `open` finds the model of the first
            try:
                model = self._load()
            except RecallrError:
                raise
            except Exception as error:
                raise EmbeddingUnavailable(f"the embedding model {self.name} could not be loaded: {error}") from error
            # The first run allocates the session's memory.
            self._dimension = len(unit(next(iter(model.query_embed("warm up")))))
            self._model = model

    def _opened(self) -> TextModel:
        if self._model is None:
            raise EmbeddingUnavailable(f"the embedding model {self.name} is not open")
        return self._model

    def _embed_query(self, text: str) -> Vector:
        return unit(next(iter(self._opened().query_embed(text))))

    def _embed_passages(self, texts: list[str]) -> list[Vector]:
        return [unit(vector) for vector in self._opened().passage_embed(texts)]

    def _stop_threads(self) -> None:
        self._query_thread.shutdown()
        self._passage_thread.shutdown()


def _lower_priority() -> None:
    """Let requests have the CPU first. Only Linux has a priority for each thread."""
    if sys.platform == "linux":
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 5)
