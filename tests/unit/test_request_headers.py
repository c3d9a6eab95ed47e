"""`X-Recallr-*` request headers: what is accepted, and how each bad value is reported."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recallr_litellm.errors import InvalidHeaders
from recallr_litellm.request_headers import HEADER_NAMES, RawHeaders, RecallrHeaders, parse


def parsed(minimum: int = 600, **headers: str) -> RecallrHeaders:
    pairs = tuple(("x-recallr-" + name.replace("_", "-"), value) for name, value in headers.items())
    return parse(RawHeaders(pairs), min_session_timeout_seconds=minimum)


@pytest.mark.parametrize(
    ("text", "value"), [("true", True), ("TRUE", True), ("1", True), ("False", False), ("0", False)]
)
def test_booleans_in_any_case(text, value):
    assert parsed(allow_new_user_creation=text).allow_new_user_creation is value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("low_latency", "low_latency"),
        ("Agentic", "agentic"),
        ("DEEP", "agentic"),
        ("Auto", "auto"),
        ("balanced", "balanced"),
    ],
)
def test_strategies_in_any_case_and_deep_is_agentic(text, value):
    assert parsed(recall_strategy=text).recall_strategy == value


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("user_id", ""),
        ("user_id", "x" * 257),
        ("user_id", "a\x07b"),
        ("allow_new_user_creation", "yes"),
        ("session_timeout_seconds", "599"),
        ("session_timeout_seconds", "ten"),
        ("session_id", ""),
        ("session_id", "x" * 129),
        ("recall_strategy", "fast"),
        ("min_top_k", "-1"),
        ("max_top_k", "201"),
        ("memories_threshold", "nan"),
        ("summaries_threshold", "-0.1"),
        ("last_n_user_messages", "0"),
        ("last_n_summaries", "21"),
        ("timezone", "Mars/Phobos"),
        ("timezone", "../../etc/passwd"),
        ("include_system_prompt", "2"),
        ("memory", "maybe"),
    ],
)
def test_each_bad_value_is_reported_under_its_header(field, value):
    with pytest.raises(InvalidHeaders) as caught:
        parsed(**{field: value})
    assert set(caught.value.problems) == {HEADER_NAMES[field]}
    assert caught.value.param == HEADER_NAMES[field]


@pytest.mark.parametrize(
    ("headers", "at_fault"),
    [({"min_top_k": "60"}, "X-Recallr-Min-Top-K"), ({"max_top_k": "5"}, "X-Recallr-Max-Top-K")],
)
def test_min_above_max_is_reported_under_the_header_that_was_sent(headers, at_fault):
    with pytest.raises(InvalidHeaders) as caught:
        parsed(**headers)
    assert set(caught.value.problems) == {at_fault}


def test_headers_are_taken_off_in_any_case():
    ours, rest = RawHeaders.take(
        [(b"X-Recallr-User-Id", "Zoë".encode()), (b"accept", b"*/*"), (b"x-recallr-foo", b"1")]
    )
    assert rest == [(b"accept", b"*/*")]
    assert ours.first("user-id") == "Zoë", "UTF-8 in a header is read as such"
    assert ours.first("api-key") is None


def test_ids_in_another_encoding_are_refused_and_never_taken_for_somebody_else():
    ours, _ = RawHeaders.take([(b"x-recallr-user-id", "Zoë".encode("latin-1"))])
    with pytest.raises(InvalidHeaders, match="UTF-8"):
        parse(ours, min_session_timeout_seconds=600)
    lookalike, _ = RawHeaders.take([(b"x-recallr-user-id", "ZoÃ«".encode())])
    assert lookalike.first("user-id") == "ZoÃ«"


def test_bad_limits_and_a_bad_timezone_are_both_reported():
    with pytest.raises(InvalidHeaders) as caught:
        parsed(min_top_k="60", timezone="Mars")
    assert set(caught.value.problems) == {"X-Recallr-Min-Top-K", "X-Recallr-Timezone"}


@pytest.mark.parametrize("user", ["a", "x" * 256, "\u00a0", " ", "日本語", "👩‍👩‍👧", "a:b", "*"])
def test_odd_but_lawful_user_ids_are_kept_as_they_are(user):
    assert parsed(user_id=user).user_id == user


@given(st.lists(st.tuples(st.sampled_from(sorted(RecallrHeaders.model_fields)), st.text(max_size=40))))
def test_any_values_give_headers_or_one_clear_error(pairs):
    raw = RawHeaders(tuple(("x-recallr-" + field.replace("_", "-"), value) for field, value in pairs))
    problems: dict[str, str] = {}
    try:
        parse(raw, min_session_timeout_seconds=600)
    except InvalidHeaders as error:
        problems = error.problems
    assert set(problems) <= set(HEADER_NAMES.values())
    assert all(problems.values())


def test_a_header_sent_twice_is_refused():
    with pytest.raises(InvalidHeaders, match="sent twice"):
        parse(RawHeaders((("x-recallr-user-id", "a"), ("x-recallr-user-id", "b"))), min_session_timeout_seconds=600)
