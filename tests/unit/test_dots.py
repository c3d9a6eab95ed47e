"""Products of vectors."""

from __future__ import annotations

import numpy as np
import pytest

from recallr_litellm.core.dots import dots


@pytest.mark.parametrize("shape", [(7,), (1, 7), (5, 7), (0, 7)])
def test_every_vector_meets_every_other(shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(1)
    vectors = rng.standard_normal(shape).astype(np.float32)
    others = rng.standard_normal((9, 7)).astype(np.float32)
    found = dots(vectors, others)
    assert found.shape == (*shape[:-1], 9)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, vectors @ others.T, rtol=1e-5, atol=1e-6)
