"""Relevance means the same whatever the model."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recallr_litellm.recall.calibration import (
    CALIBRATIONS,
    FEWEST_TO_STANDARDISE,
    REFERENCE,
    calibration_of,
    to_reference,
)
from recallr_litellm.stores.embedding import bundled

UNKNOWN = "somebody/their-model"


@given(st.floats(allow_nan=False, allow_infinity=False), st.floats(allow_nan=False, allow_infinity=False))
def test_relevance_is_within_0_and_1_and_grows_with_the_score(one: float, other: float) -> None:
    for calibration in CALIBRATIONS.values():
        for relevance in (*calibration.lines, *calibration.chats, calibration.summaries):
            assert 0 <= relevance(one) <= 1
            assert relevance(min(one, other)) <= relevance(max(one, other))


def test_the_bundled_model_has_been_measured_and_is_its_own_reference() -> None:
    assert bundled.NAME in CALIBRATIONS
    assert to_reference(bundled.NAME, [0.1, 0.5, 0.9]) == [0.1, 0.5, 0.9]


def test_unrelated_talk_and_a_good_match_lie_on_either_side_of_the_default_threshold() -> None:
    relevance = calibration_of(bundled.NAME).lines.passages
    assert relevance(0.1) < 0.5 < 0.7 < relevance(0.7)


@given(
    st.lists(st.integers(-100, 100), min_size=FEWEST_TO_STANDARDISE, max_size=80, unique=True),
    st.floats(0.01, 1),
    st.floats(-1, 1),
)
def test_a_model_that_nobody_measured_is_judged_by_how_it_spreads_its_own_candidates(
    cosines: list[int], stretch: float, shift: float
) -> None:
    dense = [cosine / 100 for cosine in cosines]
    mapped = to_reference(UNKNOWN, dense)
    other = to_reference(UNKNOWN, [stretch * value + shift for value in dense])
    assert other == pytest.approx(mapped, abs=1e-6), "a model whose cosines are all higher or closer means the same"
    assert sum(mapped) / len(mapped) == pytest.approx(REFERENCE.mean)
    assert calibration_of(UNKNOWN) == REFERENCE


def test_a_few_candidates_or_equal_ones_say_nothing_about_a_model() -> None:
    few = [0.1, 0.9]
    assert to_reference(UNKNOWN, few) == few
    equal = [0.8] * 20
    assert to_reference(UNKNOWN, equal) == equal
    assert to_reference(UNKNOWN, []) == []
