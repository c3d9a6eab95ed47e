"""What a point's vectors are made from: known of every kind, so that a reindex forgets none."""

import pytest

from recallr_litellm.core.records import SummaryHit
from recallr_litellm.core.traits import gist
from recallr_litellm.errors import ConfigurationError
from recallr_litellm.stores.vectors import points, schema
from recallr_litellm.stores.vectors.engine import Found
from recallr_litellm.stores.vectors.schema import Kind
from tests.unit.stores.vectors.vector_samples import ADA, passage, session, stored, turn

NEVER_SEARCHED = {Kind.META, Kind.USER, Kind.PROJECT, Kind.KEY, Kind.EXTRACTION, Kind.CONFLICT, Kind.AUDIT}
"""Kinds whose points have no vectors."""


def test_of_every_kind_it_is_known_what_its_vectors_are_made_from() -> None:
    unknown = set(Kind) - NEVER_SEARCHED - points._SEARCHED.keys()
    assert not unknown, (
        f"{unknown} has no entry in points._SEARCHED: if its points have vectors, `recallr reindex` has to know from "
        "which text they are made; if they have none, name it in NEVER_SEARCHED"
    )


def test_it_is_the_text_that_was_embedded() -> None:
    said = turn(stored(0, "One. Two."), passage('One: "quoted", 🏡'), passage("Two\u2028."))
    summary = passage("What it was about")
    found = [
        *points.turn_points(ADA, "s1", said),
        points.session_point(ADA, session(summary=summary.text), summary),
    ]
    assert [points.text_of(point.payload) for point in found] == [
        'One: "quoted", 🏡',
        "Two\u2028.",
        "What it was about",
    ]


def test_a_point_of_a_kind_that_a_later_version_knows_is_not_left_out_silently() -> None:
    with pytest.raises(ConfigurationError, match="'plan'"):
        points.text_of({schema.SCOPE: f"{ADA.key}/plan", schema.HIT: '["text"]'})


def test_a_hit_with_half_a_surrogate_pair_is_read_as_it_was_written() -> None:
    hit = points._json("s1", 1, 2, "half a \ud83e pair")
    found = points.summary_hit(Found("id", 0.5, {schema.HIT: hit}), 1.5)
    assert found == SummaryHit("s1", 1, 2, "half a \ud83e pair", gist("half a \ud83e pair"), 0.5, 1.5)


def test_what_a_summary_says_is_read_when_it_is_stored_and_for_those_of_earlier_versions_when_it_is_found() -> None:
    summary = passage("What it was about")
    payload = points.session_point(ADA, session(summary=summary.text), summary).payload
    later = points.summary_hit(Found("id", 0.5, payload | {schema.GIST: "as stored"}), 0.0)
    earlier = points.summary_hit(Found("id", 0.5, {schema.HIT: payload[schema.HIT]}), 0.0)
    assert (payload[schema.GIST], later.gist, earlier.gist) == (gist(summary.text), "as stored", gist(summary.text))
