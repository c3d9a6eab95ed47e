"""How many of the question's words a passage says in its own words.

BM25 with likeness in place of equality: of each term of the question counts the term of the passage that is most like
it, weighted by how rare the former is among the candidates.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from recallr_litellm.stores.embedding.words import Terms, WordVectors

UNLIKE = 0.25
"""Cosine of two words at which they have nothing in common; likeness counts from there on."""
_MOST_RARE = 6.0
"""A term that no candidate has weighs no more than this."""
_COUNTED_IN = 10.0
"""Keeps the sum near the scale of a cosine."""


def likeness(
    question: Terms, passages: Sequence[Terms], vectors: WordVectors, counted: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Points for each passage, 0 or more.

    Args:
        question: its terms, unique.
        passages: the unique terms of each candidate; some may be empty.
        counted: among which of them it is counted how rare a term is; at least one.
    """
    lengths = np.array([len(terms) for terms in passages])
    points = np.zeros(len(passages))
    if not len(question) or not lengths.any():
        return points
    terms, places = np.unique(np.concatenate([*passages]), return_inverse=True)
    alike = vectors.cosines(question, terms) - UNLIKE
    same = question[:, None] == terms
    alike[same] = 1 - UNLIKE  # also where the vectors know neither
    has = same @ np.bincount(places, np.repeat(counted, lengths))
    rarity = np.minimum(np.log(1 + (counted.sum() - has + 0.5) / (has + 0.5)), _MOST_RARE)
    filled = lengths > 0
    starts = np.concatenate(([0], np.cumsum(lengths[filled])[:-1]))
    most_alike = np.clip(np.maximum.reduceat(alike[:, places], starts, axis=1), 0, None)
    points[filled] = rarity @ most_alike / _COUNTED_IN
    return points
