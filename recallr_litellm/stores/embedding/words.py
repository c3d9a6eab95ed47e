"""Words that mean much the same: "kids" and "children", "movie" and "film".

The first layer of the bundled embedding model is a table of vectors, one for each word piece. Compared with each
other they tell which words are alike, at the price of a multiplication. Terms are the hashes of stems that BM25
(`sparse.py`) makes of words, so what is compared is what stands in every passage's sparse vector already.

`data/words.npz` is that table, made smaller; `data/PROVENANCE.md` says how.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from recallr_litellm.core.dots import dots
from recallr_litellm.stores.embedding.bundled import DATA

FILE = DATA / "words.npz"

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

    def cosines(self, terms: Terms, others: Terms) -> NDArray[np.float32]:
        """Shape (terms, others); 0 for unknown ones."""
        return dots(self._vectors[self._rows(terms)], self._vectors[self._rows(others)])

    def _rows(self, terms: Terms) -> NDArray[np.intp]:
        rows = np.searchsorted(self._terms, terms)
        known = self._terms[np.minimum(rows, len(self._terms) - 1)] == terms
        return np.where(known, rows, len(self._terms))


def load(file: Path = FILE) -> WordVectors:
    """The table of the bundled model: 7 MB of memory. Raises OSError, ValueError."""
    with np.load(file, allow_pickle=False) as table:
        return WordVectors(table["terms"], table["vectors"])
