"""Times that a text names, in seven languages."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recallr_litellm.core.times import Order, Unit, named_times, noon, order_of, written_times

TODAY = date(2025, 5, 5)  # a Monday


def said(day: date) -> int:
    return int(datetime(day.year, day.month, day.day, 9, tzinfo=UTC).timestamp() * 1000)


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("On 12 June the boiler broke down", date(2024, 6, 12)),
        ("on June 12th we left", date(2024, 6, 12)),
        ("the 3rd of May, 2023", date(2023, 5, 3)),
        ("the day before yesterday", date(2025, 5, 3)),
        ("last Friday", date(2025, 5, 2)),
        ("three days ago", date(2025, 5, 2)),
        ("on 2024-11-05", date(2024, 11, 5)),
        ("am 5. März 2025", date(2025, 3, 5)),
        ("vorgestern", date(2025, 5, 3)),
        ("letzten Freitag", date(2025, 5, 2)),
        ("vor 3 Tagen", date(2025, 5, 2)),
        ("am 5.3. war ich dort", date(2025, 3, 5)),
        ("Mittwoch, den 5.3. um drei", date(2025, 3, 5)),
        ("am 5. 3. 2025", date(2025, 3, 5)),
        ("on Sunday, June 9, 2024", date(2024, 6, 9)),
        ("on Sunday the 9th of June 2024", date(2024, 6, 9)),
        ("a couple of days ago", date(2025, 5, 3)),
        ("in three days", date(2025, 5, 8)),
        ("in drei Tagen", date(2025, 5, 8)),
        ("dans trois jours", date(2025, 5, 8)),
        ("dentro de tres días", date(2025, 5, 8)),
        ("tra tre giorni", date(2025, 5, 8)),
        ("je l'ai vu hier", date(2025, 5, 4)),
        ("le 1er mai", date(2025, 5, 1)),
        ("vendredi dernier", date(2025, 5, 2)),
        ("il y a trois jours", date(2025, 5, 2)),
        ("ayer por la tarde", date(2025, 5, 4)),
        ("el 5 de marzo de 2025", date(2025, 3, 5)),
        ("el viernes pasado", date(2025, 5, 2)),
        ("hace tres días", date(2025, 5, 2)),
        ("ontem à noite", date(2025, 5, 4)),
        ("no dia 5 de março", date(2025, 3, 5)),
        ("há três dias", date(2025, 5, 2)),
        ("na sexta-feira passada", date(2025, 5, 2)),
        ("l'altro ieri", date(2025, 5, 3)),
        ("il 5 marzo", date(2025, 3, 5)),
        ("venerdì scorso", date(2025, 5, 2)),
        ("tre giorni fa", date(2025, 5, 2)),
        ("eergisteren", date(2025, 5, 3)),
        ("op 5 maart 2025", date(2025, 3, 5)),
        ("afgelopen vrijdag", date(2025, 5, 2)),
        ("drie dagen geleden", date(2025, 5, 2)),
    ],
)
def test_a_day_is_read(text: str, day: date) -> None:
    found = named_times(text, TODAY)
    assert found[0][:2] == (day, Unit.DAY)
    assert all((time.day.month, time.day.day) == (day.month, day.day) for time in found), "but for the next of its kind"


@pytest.mark.parametrize(
    "text",
    "last week|vorige Woche|la semaine dernière|la semana pasada|a semana passada|la settimana scorsa|afgelopen week"
    "|a week ago|vor einer Woche|il y a une semaine|hace una semana|há uma semana|una settimana fa".split("|"),
)
def test_a_week_is_read(text: str) -> None:
    assert named_times(f"{text} …", TODAY) == [(date(2025, 4, 28), Unit.WEEK, None)]


@pytest.mark.parametrize(
    "text",
    "in March|im März|en mars|en marzo|em março|nel marzo 2025|in maart|two months ago|vor zwei Monaten|März 2025"
    "|il y a deux mois|há dois meses|due mesi fa".split("|"),
)
def test_a_month_is_read(text: str) -> None:
    [(day, unit, _)] = named_times(text, TODAY)
    assert (day.year, day.month, unit) == (2025, 3, Unit.MONTH)


@pytest.mark.parametrize(
    "text",
    [
        "You may march on, and Mars is red.",
        "Was hast du hier gesagt?",
        "Guten Morgen! Por la mañana.",
        "10 out of 20 in set 3, version 1.2.3, port 22",
        "J'en ai sept. A segunda vez. Mai stato lì.",
        "31/02/2025",
        "call 1/2/3/2024 or 12-34-5678",
    ],
)
def test_what_is_no_time_is_not_taken_for_one(text: str) -> None:
    assert named_times(text, TODAY) == []


@pytest.mark.parametrize(
    ("text", "order", "days"),
    [
        ("05.03.2025", None, [date(2025, 3, 5)]),
        ("05.03.25", Order.MONTH_FIRST, [date(2025, 3, 5)]),
        ("05/03/2025", None, [date(2025, 3, 5), date(2025, 5, 3)]),
        ("05/03/2025", Order.DAY_FIRST, [date(2025, 3, 5)]),
        ("05-03-2025", Order.MONTH_FIRST, [date(2025, 5, 3)]),
        ("25/03/2025", Order.MONTH_FIRST, [date(2025, 3, 25)]),
        ("03/25/2025", Order.DAY_FIRST, [date(2025, 3, 25)]),
        ("07/07/2025", None, [date(2025, 7, 7)]),
    ],
)
def test_dates_in_figures(text: str, order: Order | None, days: list[date]) -> None:
    assert [time.day for time in named_times(text, TODAY, order=order)] == days


def test_how_dates_are_written_is_told_by_those_that_can_be_read_in_one_way_only() -> None:
    assert order_of(["due 05/03/2025", "paid 25/03/2025"]) is Order.DAY_FIRST
    assert order_of(["paid 3/25/2025"]) is Order.MONTH_FIRST
    assert order_of(["05/03/2025"]) is None
    assert order_of(["25/03/2025", "03/25/2025"]) is None


def test_a_question_may_be_about_what_was_or_what_will_be() -> None:
    assert [time.day for time in named_times("on 12 June", TODAY)] == [date(2024, 6, 12), date(2025, 6, 12)]
    assert [time.day for time in named_times("on 12 April", TODAY)] == [date(2025, 4, 12)]
    assert [time.day for time in named_times("on Thursday", TODAY)] == [date(2025, 5, 1), date(2025, 5, 8)]


@pytest.mark.parametrize(
    ("text", "days"),
    [
        ("I met her yesterday.", [date(2025, 5, 4)]),
        ("Tomorrow I have an exam.", [date(2025, 5, 6)]),
        ("Our wedding is on 14 June.", [date(2025, 6, 14)]),
        ("The interview is on Thursday.", [date(2025, 5, 1), date(2025, 5, 8)]),
        ("Nächsten Donnerstag fahre ich weg.", [date(2025, 5, 8)]),
        ("I feel fine today, this week.", []),
        ("In 2019 I moved.", []),
        ("due 05/03/2025, paid 25/03/2025", [date(2025, 3, 5), date(2025, 3, 25)]),
    ],
)
def test_written_times_are_resolved_from_when_they_were_said(text: str, days: list[date]) -> None:
    assert written_times(text, said(TODAY)) == [noon(day) for day in days]


def test_yesterday_is_that_of_the_user_s_clock() -> None:
    just_before_midnight_utc = int(datetime(2025, 5, 5, 23, 30, tzinfo=UTC).timestamp() * 1000)
    for timezone, day in {"": 4, "Europe/Berlin": 5, "America/Lima": 4, "No/Such": 4}.items():
        assert written_times("I met her yesterday.", just_before_midnight_utc, timezone) == [noon(date(2025, 5, day))]


def test_a_week_and_a_month_equal_no_day() -> None:
    for moment in written_times("last week, in March", said(TODAY)):
        assert noon(datetime.fromtimestamp(moment / 1000, UTC).date()) != moment


def test_few_times_of_a_text_are_kept() -> None:
    assert len(written_times(", ".join(f"{day} June 2024" for day in range(1, 25)), said(TODAY))) == 4


@settings(max_examples=60, deadline=None)
@given(
    st.text(max_size=200), st.sampled_from(["", " 999 years ago", " 31 feb", " 29 February", "/12/2024", " next month"])
)
def test_any_text_is_read_or_left_alone(text: str, tail: str) -> None:
    for day in (TODAY, date.min, date.max):
        assert all(isinstance(time.day, date) for time in named_times(text + tail, day))
    assert all(isinstance(moment, int) for moment in written_times(text + tail, 0))
