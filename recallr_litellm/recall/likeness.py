"""How many of the question's words a passage says in its own words.

BM25 with likeness in place of equality: of each term of the question counts the term of the passage that is most like
it, weighted by how rare the former is among the candidates.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import is_not

import numpy as np
from numpy.typing import NDArray

from recallr_litellm.stores.embedding.words import Terms, WordVectors

UNLIKE = 0.25
"""Cosine of two words at which they have nothing in common; likeness counts from there on."""
_MOST_RARE = 6.0
"""A term that no candidate has weighs no more than this."""
_COUNTED_IN = 10.0
"""Keeps the sum near the scale of a cosine."""


class Likeness:
    """Compares the terms of a question with those of passages, each passage once.

    Args:
        question: its terms, unique.
        vectors: which terms are alike.
    """

    def __init__(self, question: Terms, vectors: WordVectors) -> None:
        self._question = question
        found = [vectors.alike(term, above=UNLIKE) for term in question.tolist()]
        self._known = np.unique(np.concatenate([question, *(terms for terms, _ in found)]))
        """Terms that are like one of the question."""
        self._likeness = np.zeros((len(question), len(self._known) + 1), np.float32)
        """How like; the last column stands for all other terms."""
        for row, (terms, cosines) in zip(self._likeness, found, strict=True):
            row[np.searchsorted(self._known, terms)] = cosines - UNLIKE
        itself = np.searchsorted(self._known, question)
        self._likeness[np.arange(len(question)), itself] = 1 - UNLIKE  # also where the vectors do not know it
        self._compared: list[Terms] = []
        self._alike = np.zeros((len(question), 0), np.float32)
        """Of each term of the question and each passage: how like it is to the most alike term of that."""
        self._same = np.zeros((len(question), 0), bool)
        """Whether that is the same."""

    def points(self, passages: Sequence[Terms], counted: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Points for each passage, 0 or more.

        Args:
            passages: the unique terms of each candidate; some may be empty. Those of the call before, if they come
                first and in the same order, are not compared again.
            counted: among which of them it is counted how rare a term is; at least one.
        """
        done = len(self._compared)
        if len(passages) < done or any(map(is_not, passages, self._compared)):
            done = 0
        alike, same = self._compare(passages[done:])
        self._compared = list(passages)
        self._alike = np.hstack([self._alike[:, :done], alike])
        self._same = np.hstack([self._same[:, :done], same])
        has = self._same[:, counted].sum(axis=1)
        rarity = np.minimum(np.log(1 + (counted.sum() - has + 0.5) / (has + 0.5)), _MOST_RARE)
        points: NDArray[np.float64] = rarity @ self._alike / _COUNTED_IN
        return points

    def _compare(self, passages: Sequence[Terms]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        lengths = np.array([len(terms) for terms in passages], np.intp)
        shape = len(self._question), len(passages)
        most_alike, has = np.zeros(shape, np.float32), np.zeros(shape, bool)
        if not len(self._question) or not lengths.any():
            return most_alike, has
        terms = np.concatenate(passages)
        places = np.minimum(np.searchsorted(self._known, terms), len(self._known) - 1)
        places[self._known[places] != terms] = len(self._known)
        filled = lengths > 0
        starts = np.concatenate(([0], np.cumsum(lengths[filled])[:-1]))
        most_alike[:, filled] = np.maximum.reduceat(self._likeness[:, places], starts, axis=1)
        has[:, filled] = np.logical_or.reduceat(self._question[:, None] == terms, starts, axis=1)
        return most_alike, has
