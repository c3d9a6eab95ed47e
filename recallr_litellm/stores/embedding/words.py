"""Words that mean much the same: "kids" and "children", "movie" and "film".

The first layer of the bundled embedding model is a table of vectors, one for each word piece. Compared with each
other they tell which words are alike, at the price of a multiplication. Terms are the hashes of stems that BM25
(`sparse.py`) makes of words, so what is compared is what stands in every passage's sparse vector already.

`data/words.npz` is that table, made smaller; `data/PROVENANCE.md` says how.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from recallr_litellm.core.dots import dots
from recallr_litellm.stores.embedding.bundled import DATA

FILE = DATA / "words.npz"

_MOST_FOUND = 4_096
"""Terms of which it is kept which others are like them: about 5 MB."""

Terms = NDArray[np.uint32]
"""Hashes of stems, as in `SparseVector.indices`."""


class WordVectors:
    """Vectors of some 14,000 English terms; terms that are not among them are like nothing.

    Args:
        terms: sorted, unique.
        vectors: half precision, shape (terms, dimension), unit length.
    """

    def __init__(self, terms: Terms, vectors: NDArray[np.float16]) -> None:
        self._terms = terms
        # In single precision: unfolding what a question needs would be half of the time it takes.
        self._vectors = np.vstack([vectors, np.zeros((1, vectors.shape[1]))]).astype(np.float32)
        self._found = lru_cache(_MOST_FOUND)(self._find_alike)

    def cosines(self, terms: Terms, others: Terms) -> NDArray[np.float32]:
        """Shape (terms, others); 0 for unknown ones."""
        return dots(self._vectors[self._rows(terms)], self._vectors[self._rows(others)])

    def alike(self, term: int, *, above: float) -> tuple[Terms, NDArray[np.float32]]:
        """The terms that are more like a term than `above`, sorted, and their cosines; none for an unknown one.

        Questions have few words, and the same again and again: what is alike is kept, some 140 terms for each. To find
        it takes 0.3 ms.
        """
        return self._found(term, above)

    def _find_alike(self, term: int, above: float) -> tuple[Terms, NDArray[np.float32]]:
        row = int(self._terms.searchsorted(term))
        if row == len(self._terms) or self._terms[row] != term:
            return self._terms[:0], self._vectors[0, :0]
        cosines = dots(self._vectors[row], self._vectors[:-1])
        [found] = np.nonzero(cosines > above)
        return self._terms[found], cosines[found]

    def _rows(self, terms: Terms) -> NDArray[np.intp]:
        rows = np.searchsorted(self._terms, terms)
        known = self._terms[np.minimum(rows, len(self._terms) - 1)] == terms
        return np.where(known, rows, len(self._terms))


def load(file: Path = FILE) -> WordVectors:
    """The table of the bundled model: 7 MB of memory. Raises OSError, ValueError."""
    with np.load(file, allow_pickle=False) as table:
        return WordVectors(table["terms"], table["vectors"])
