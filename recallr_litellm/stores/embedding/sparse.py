"""BM25 term weights; the IDF comes from the vector store, for each owner of their own."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING

from recallr_litellm.core.records import SparseVector
from recallr_litellm.core.scripts import as_words
from recallr_litellm.core.stopwords import ENGLISH
from recallr_litellm.stores.embedding import words
from recallr_litellm.stores.embedding.base import bounded
from recallr_litellm.stores.embedding.bundled import DATA
from recallr_litellm.stores.embedding.words import WordVectors

if TYPE_CHECKING:
    from fastembed import SparseEmbedding, SparseTextEmbedding


class SparseEncoder:
    """fastembed's BM25 with English stop words and stemming; never touches the network. Thread-safe.

    Making the first takes up to 3 s (imports): do it with `asyncio.to_thread(SparseEncoder)`. Encoding
    takes about 20 µs a query and 50 µs a passage, so it may be done on the event loop.
    """

    def __init__(self) -> None:
        self._model = _model()
        self.words = _words()
        """Which of the terms are alike."""

    def query(self, text: str) -> SparseVector:
        """Weight 1 for each term of the first `MAX_CHARACTERS`; empty where no term is left."""
        [embedding] = self._model.query_embed(as_words(bounded(text)))
        return _sparse(embedding)

    def passages(self, texts: Sequence[str]) -> list[SparseVector]:
        """Term weights for each text, in order; empty where no term is left."""
        return [
            _sparse(embedding) for embedding in self._model.passage_embed([as_words(bounded(text)) for text in texts])
        ]


@cache
def _model() -> SparseTextEmbedding:
    from fastembed import SparseTextEmbedding

    # With a path nothing is downloaded, and with the words given none are looked for there.
    return SparseTextEmbedding(
        "Qdrant/bm25", specific_model_path=str(DATA), cache_dir=str(DATA), stopwords=set(ENGLISH)
    )


@cache
def _words() -> WordVectors:
    return words.load()


def _sparse(embedding: SparseEmbedding) -> SparseVector:
    terms = sorted(zip(embedding.indices.tolist(), embedding.values.tolist(), strict=True))
    return SparseVector(tuple(index for index, _ in terms), tuple(float(weight) for _, weight in terms))
