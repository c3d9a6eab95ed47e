"""The table of word vectors that is package data."""

from __future__ import annotations

import numpy as np
import pytest

from recallr_litellm.stores.embedding.words import FILE, load
from tests.support.word_table import word_table


def test_it_is_what_the_bundled_model_says() -> None:
    terms, vectors = word_table()
    with np.load(FILE) as shipped:
        np.testing.assert_array_equal(shipped["terms"], terms)
        assert shipped["vectors"].shape == vectors.shape
    # The components may be mirrored on another machine; what the vectors tell of each other is the same.
    some, others = terms[::100], terms[7::100]
    rows = {term: vectors[row].astype(np.float32) for row, term in enumerate(terms.tolist())}
    expected = np.array([[rows[one] @ rows[other] for other in others.tolist()] for one in some.tolist()])
    np.testing.assert_allclose(load().cosines(some, others), expected, atol=5e-3)


def test_a_term_is_most_like_itself_and_an_unknown_one_like_nothing() -> None:
    words = load()
    with np.load(FILE) as shipped:
        known = shipped["terms"][:5]
    unknown = np.array([int(known[0]) + 1, 0, 2**32 - 1], np.uint32)
    assert not np.isin(unknown, known).any()
    cosines = words.cosines(known, np.concatenate([known, unknown, known[:1]]))
    assert np.diag(cosines) == pytest.approx(1, abs=2e-3)
    assert (cosines[:, :5].argmax(axis=1) == np.arange(5)).all()
    assert not cosines[:, 5:8].any()
    np.testing.assert_allclose(cosines[:, 8], cosines[:, 0], atol=1e-6)
    assert words.cosines(known[:0], known).shape == (0, 5)
