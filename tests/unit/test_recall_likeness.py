"""Words that mean much the same count like the same words."""

from __future__ import annotations

from itertools import chain

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recallr_litellm.recall.likeness import Likeness
from recallr_litellm.stores.embedding import SparseEncoder


@pytest.fixture(scope="module")
def sparse() -> SparseEncoder:
    return SparseEncoder()


def points(sparse: SparseEncoder, question: str, *passages: str) -> list[float]:
    terms = [np.array(found.indices, np.uint32) for found in sparse.passages(passages)]
    asked = np.array(sparse.query(question).indices, np.uint32)
    return Likeness(asked, sparse.words).points(terms, np.ones(len(terms), bool)).tolist()


@pytest.mark.parametrize(
    ("question", "other_words", "unrelated"),
    [
        ("How are the children?", "The kids love their new school.", "The tap in the kitchen drips."),
        ("Which movies did we see?", "That film was long.", "That soup was cold."),
        ("Which books did I like?", "That novel was great.", "That soup was great."),
    ],
)
def test_other_words_for_the_same_thing_count(
    sparse: SparseEncoder, question: str, other_words: str, unrelated: str
) -> None:
    same, other = points(sparse, question, other_words, unrelated)
    assert same > other, f"{other_words!r} is no nearer to {question!r} than {unrelated!r}"


def test_the_same_word_counts_most_and_a_rare_one_more_than_a_frequent_one(sparse: SparseEncoder) -> None:
    same, alike, neither = points(sparse, "My movie", "A movie", "A film", "A sofa")
    assert same > alike > neither
    rare, frequent, *_ = points(sparse, "Lisbon holiday", "In Lisbon", "A holiday", "A holiday", "The holiday")
    assert rare > frequent


def test_a_word_that_nobody_knows_is_like_itself_alone(sparse: SparseEncoder) -> None:
    same, other = points(sparse, "Zyxgrumpf", "The zyxgrumpf barks.", "The zyxgrampf barks.")
    assert same > 0
    assert other == 0


def test_what_has_no_terms_has_no_points(sparse: SparseEncoder) -> None:
    assert points(sparse, "What is it?", "A movie") == [0.0]
    assert points(sparse, "My movie", "That is it.", "Is it?") == [0.0, 0.0]
    first, last = points(sparse, "My movie", "That is it.", "A movie")
    assert (first, last > 0) == (0.0, True)


@given(st.lists(st.lists(st.integers(0, 2**32 - 1), unique=True, max_size=6), min_size=1, max_size=8), st.data())
def test_any_terms_give_points_between_none_and_all(passages: list[list[int]], data: st.DataObject) -> None:
    words = SparseEncoder().words
    question = data.draw(st.lists(st.sampled_from(sorted({1, *chain(*passages)})), unique=True, max_size=5))
    terms = [np.array(of_passage, np.uint32) for of_passage in passages]
    compared = Likeness(np.array(question, np.uint32), words)
    found = compared.points(terms, np.ones(len(terms), bool))
    assert found.shape == (len(passages),)
    assert (found >= 0).all()
    assert (found <= len(question)).all()


@given(st.lists(st.lists(st.integers(0, 9), unique=True, max_size=4), min_size=1, max_size=8), st.data())
def test_passages_that_come_later_have_the_points_that_they_have_at_once(
    passages: list[list[int]], data: st.DataObject
) -> None:
    words = SparseEncoder().words
    question = np.array([1, 2, 3], np.uint32)
    terms = [np.array(of_passage, np.uint32) for of_passage in passages]
    counted = np.array(data.draw(st.lists(st.booleans(), min_size=len(terms), max_size=len(terms))))
    first = terms[: data.draw(st.integers(0, len(terms)))]
    later = Likeness(question, words)
    before = data.draw(st.sampled_from([first, first[::-1], first[1:]]))
    later.points(before, np.ones(len(before), bool))
    assert later.points(terms, counted).tolist() == Likeness(question, words).points(terms, counted).tolist()
