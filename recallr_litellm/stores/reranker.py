"""A cross-encoder in this process: reads question and passage together, and says how well the one answers the other."""

from __future__ import annotations

import asyncio
import math
import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol, TypeVar

from recallr_litellm.errors import RecallrError, RerankerUnavailable
from recallr_litellm.settings import Settings
from recallr_litellm.stores.embedding.base import bounded
from recallr_litellm.stores.hub import Family

PAIR_CHARACTERS = 1_000
"""What is read of a question and of a passage, each: together about what such models read (512 tokens)."""
BATCH = 4
"""Pairs per call of the model. Between calls it looks whether anybody still waits for it."""

T = TypeVar("T")


class CrossEncoder(Protocol):
    """What is used of `fastembed.rerank.cross_encoder.TextCrossEncoder`."""

    def rerank(self, query: str, documents: Iterable[str], batch_size: int) -> Iterable[float]: ...


class Reranker:
    """A cross-encoder of fastembed behind one thread. Belongs to one event loop."""

    def __init__(self, name: str, load: Callable[[], CrossEncoder]) -> None:
        """
        Args:
            name: for messages.
            load: blocking; called in the thread until it returns once.
        """
        self.name = name
        self._load = load
        self._model: CrossEncoder | None = None
        self._closed = False
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="recallr-rerank")

    async def open(self) -> None:
        """Loads the model and uses it once. Again after a failure, not after `close`.

        Raises:
            ConfigurationError: there is no such model.
            RerankerUnavailable: it could not be loaded now.
        """
        if self._model is None:
            await self._run(self._load_once)

    async def scores(self, question: str, passages: Sequence[str]) -> list[float]:
        """How well each passage answers, in order, on the model's own scale: greater is better.

        Whoever stops waiting stops the model, too, after the pairs that it is at.

        Raises:
            RerankerUnavailable: the model is not open, or failed.
        """
        if self._model is None:  # and may be loading, which nobody is to stand behind
            raise RerankerUnavailable(f"the reranker {self.name} is not open")
        texts = [bounded(passage)[:PAIR_CHARACTERS] for passage in passages]
        abandoned = threading.Event()
        try:
            return await self._run(lambda: self._score(bounded(question)[:PAIR_CHARACTERS], texts, abandoned))
        finally:
            abandoned.set()

    async def close(self) -> None:
        """Frees the model. What it is at is finished first; later calls raise RerankerUnavailable."""
        self._closed = True
        await asyncio.to_thread(self._thread.shutdown)
        self._model = None

    async def _run(self, work: Callable[[], T]) -> T:
        if self._closed:
            raise RerankerUnavailable(f"the reranker {self.name} is closed")
        try:
            return await asyncio.wrap_future(self._thread.submit(work))
        except RecallrError:
            raise
        except Exception as error:
            # Only the type: a message of the model could quote the text.
            raise RerankerUnavailable(f"the reranker {self.name} failed: {type(error).__name__}") from error

    def _load_once(self) -> None:
        if self._model is None:  # one thread, so a second `open` finds the model of the first
            try:
                model = self._load()
            except RecallrError:
                raise
            except Exception as error:
                raise RerankerUnavailable(f"the reranker {self.name} could not be loaded: {error}") from error
            _checked(model.rerank("warm up", ["The first run allocates the session's memory."], batch_size=1), 1)
            self._model = model

    def _score(self, question: str, texts: Sequence[str], abandoned: threading.Event) -> list[float]:
        model = self._model
        assert model is not None
        # By length, since a batch is as long as its longest.
        by_length = sorted(range(len(texts)), key=lambda index: len(texts[index]))
        scores: dict[int, float] = {}
        for start in range(0, len(by_length), BATCH):
            if abandoned.is_set():
                raise RerankerUnavailable("nobody waits for it any more")
            batch = by_length[start : start + BATCH]
            found = _checked(model.rerank(question, [texts[i] for i in batch], batch_size=BATCH), len(batch))
            scores.update(zip(batch, found, strict=True))
        return [scores[index] for index in range(len(texts))]


def _checked(scores: Iterable[float], count: int) -> list[float]:
    found = [float(score) for score in scores]
    if len(found) != count or not all(map(math.isfinite, found)):
        raise RerankerUnavailable(f"the model gave no usable scores for {count} passages")
    return found


def open_reranker(settings: Settings) -> Reranker | None:
    """The reranker that `RECALLR_RERANK_MODEL` names, not loaded yet: `await reranker.open()` does that."""
    model = settings.rerank_model
    return None if model is None else Reranker(model, lambda: _HUB.load(model, settings.models_dir))


def _text_cross_encoder() -> Any:
    from fastembed.rerank.cross_encoder import TextCrossEncoder

    return TextCrossEncoder


_HUB = Family(
    "a cross-encoder",
    "RECALLR_RERANK_MODEL",
    _text_cross_encoder,
    RerankerUnavailable,
    otherwise="Unset RECALLR_RERANK_MODEL to do without.",
)
