"""Times that a question names, as ranges on the clock of the user.

Parsing is dateparser's (https://dateparser.readthedocs.io). It reads "we" and "sat" as days of the week, so
it is shown only what is around words that can hardly mean anything but a time.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from dateutil.relativedelta import relativedelta

_MONTHS = "January|February|March|April|May|June|July|August|September|October|November|December"
_DAYS = "monday|tuesday|wednesday|thursday|friday|saturday|sunday"
_TIME = re.compile(
    rf"\b(?:(?:{_MONTHS})|(?i:january|february|april|june|july|august|september|october|november|december|{_DAYS})"
    r"|(?i:yesterday|today|(?:last|past|this|previous) (?:week|month|year)|(?:days?|weeks?|months?|years?) ago)"
    r"|(?:19|20)\d\d(?:[-/.]\d{1,2}(?:[-/.]\d{1,2})?)?|\d{1,2}[/.]\d{1,2}[/.]\d{2,4})\b"
)
_AROUND = 24
"""Characters to each side in which the rest of a date stands: "on the 3rd of", ", 2024"."""
_MOST = 4
"""Times of one question that are looked at."""
_TOLD_WITHIN = timedelta(days=4)
"""People speak of a day some days before and after it."""


@dataclass(frozen=True, slots=True)
class Period:
    """A range of time, milliseconds since the epoch, UTC."""

    start: int
    end: int
    """The first instant after it."""
    precision: float = 1.0
    """How much it tells: 1 for a month or a week or less, less for a year."""
    near: tuple[int, int] | None = None
    """For a day or a week: start and end of what lies closely around it. `start` to `end` is then its month."""


def periods(question: str, now: datetime) -> tuple[Period, ...]:
    """The times that a question names; relative ones and those without a year lie before `now`.

    Args:
        question: of any language and length; only English is understood.
        now: aware, in the user's timezone.
    """
    return tuple(dict.fromkeys(_periods(question, now)))


def warm_up() -> None:
    """Load the parser, so that no request pays for that: 0.2 to 0.4 s."""
    periods("last week", datetime.now(UTC))


def _periods(question: str, now: datetime) -> Iterator[Period]:
    for text in _mentions(question):
        for words, kind, moment in _parsed(text, now):
            if _TIME.search(words):
                try:
                    yield _period(kind, moment.replace(tzinfo=now.tzinfo))
                except (ValueError, OverflowError):  # at the ends of the calendar
                    continue


def _mentions(question: str) -> Iterator[str]:
    """What stands around words of time, without overlaps."""
    end = -1
    for match in list(_TIME.finditer(question))[:_MOST]:
        if match.start() < end:
            continue
        end = match.end() + _AROUND
        begin = max(0, match.start() - _AROUND)
        # Cut at words, since half a word may be read as a day.
        before = question[begin : match.start()]
        after = question[match.end() : end]
        yield (
            (before.partition(" ")[2] if begin else before)
            + match[0]
            + (after.rpartition(" ")[0] if end < len(question) else after)
        )


def _parsed(text: str, now: datetime) -> list[tuple[str, str, datetime]]:
    """(words, period as dateparser calls it, moment) of each date in a short text."""
    search, parser = _dateparser()
    settings: dict[str, Any] = {"RELATIVE_BASE": now.replace(tzinfo=None), "PREFER_DATES_FROM": "past"}
    try:
        found = search(text, languages=["en"], settings=settings) or []
        return [(words, parser(settings).get_date_data(words).period, moment) for words, moment in found]
    except (ValueError, OverflowError, TypeError, AttributeError, RecursionError):  # seen for absurd dates
        return []


@cache
def _dateparser() -> tuple[Any, Any]:
    """Imported when first needed: 0.15 s that most commands can do without."""
    from dateparser.date import DateDataParser
    from dateparser.search import search_dates

    return search_dates, lambda settings: DateDataParser(languages=["en"], settings=settings)


def _period(kind: str, moment: datetime) -> Period:
    day = moment.replace(hour=0, minute=0, second=0, microsecond=0)
    if kind == "year":
        start = day.replace(month=1, day=1)
        return Period(_ms(start), _ms(start + relativedelta(years=1)), precision=0.5)
    month = day.replace(day=1)
    if kind == "month":
        return Period(_ms(month), _ms(month + relativedelta(months=1)))
    near = _ms(day - _TOLD_WITHIN), _ms(day + _TOLD_WITHIN + timedelta(days=1))
    return Period(min(_ms(month), near[0]), max(_ms(month + relativedelta(months=1)), near[1]), near=near)


def _ms(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)
