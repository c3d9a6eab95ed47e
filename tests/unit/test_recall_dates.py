"""Times that a question names."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recallr_litellm.core.traits import names_a_time
from recallr_litellm.recall.dates import Period, periods

BERLIN = ZoneInfo("Europe/Berlin")
NOW = datetime(2025, 3, 20, 10, 0, tzinfo=BERLIN)  # a Thursday


def at(*when: int, zone: ZoneInfo = BERLIN) -> int:
    return int(datetime(*when, tzinfo=zone).timestamp() * 1000)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("question", "start", "end"),
    [
        ("What did I plan in February?", (2025, 2, 1), (2025, 3, 1)),
        ("What did I plan in June 2023?", (2023, 6, 1), (2023, 7, 1)),
        ("Where was I in May?", (2024, 5, 1), (2024, 6, 1)),
        ("Which books did I read in 2022?", (2022, 1, 1), (2023, 1, 1)),
        ("What happened last month?", (2025, 2, 1), (2025, 3, 1)),
    ],
)
def test_months_and_years_are_those_before_now(question: str, start: tuple[int, ...], end: tuple[int, ...]) -> None:
    period = periods(question, NOW)[0]
    assert (period.start, period.end) == (at(*start), at(*end))


@pytest.mark.parametrize(
    ("question", "day"),
    [
        ("What did I tell you yesterday about the car?", (2025, 3, 19)),
        ("What did we decide on March 5?", (2025, 3, 5)),
        ("Who called on 8 May, 2023?", (2023, 5, 8)),
        ("What did I write last week?", (2025, 3, 13)),
        ("What was it that I asked two weeks ago?", (2025, 3, 6)),
        ("And last Monday?", (2025, 3, 17)),
        ("What did I note on 2024-11-05?", (2024, 11, 5)),
    ],
)
def test_a_day_has_its_surroundings(question: str, day: tuple[int, ...]) -> None:
    found = [period for period in periods(question, NOW) if period.near]
    assert found, f"no day was found in {question!r}"
    near = found[0].near
    assert near is not None
    assert near[0] < at(*day, 12) < near[1]
    assert near[1] - near[0] < 10 * 24 * 3600 * 1000


def test_days_are_those_of_the_users_timezone() -> None:
    auckland = ZoneInfo("Pacific/Auckland")
    [period] = periods("What did I say in January 2025?", NOW.astimezone(auckland))
    assert period.start == at(2025, 1, 1, zone=auckland) != at(2025, 1, 1)


@pytest.mark.parametrize(
    "question",
    [
        "",
        "🎉🎉",
        "What may I eat while we march? I sat on the sun chair, second to none.",
        "我上个星期说了什么",
        "on the 99th of Febtober 12345",
        "I need 5 eggs and 3 spoons",
    ],
)
def test_what_is_no_time_is_not_taken_for_one(question: str) -> None:
    assert periods(question, NOW) == ()


@pytest.mark.parametrize(
    "question",
    ["31/02/2025", "9999999999999 years ago", "in the year 0001", "0000-00-00", "2025-13-45", "1 month ago " * 500],
)
def test_absurd_dates_do_no_harm(question: str) -> None:
    assert all(period.start < period.end for period in periods(question, NOW))


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=200), st.sampled_from(["", " years ago", " 2024", " last week", " May ", "/12/2024"]))
def test_any_text_is_understood_or_left_alone(text: str, tail: str) -> None:
    for period in periods(text + tail, NOW):
        assert isinstance(period, Period)
        assert period.start < period.end


@pytest.mark.parametrize(
    "text", ["We met yesterday.", "See you at 5 pm", "on the 3rd", "It was in May.", "back in 2019", "last summer we"]
)
def test_a_passage_with_a_time_is_known(text: str) -> None:
    assert names_a_time(text)


@pytest.mark.parametrize("text", ["", "You may go on.", "I have 3 cats.", "The next door is open.", "weekly 🎉"])
def test_a_passage_without_one_too(text: str) -> None:
    assert not names_a_time(text)
