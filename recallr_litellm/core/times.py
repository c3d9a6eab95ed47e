"""Days, weeks, months and years that a text names, in seven languages.

The names of months and weekdays, the units and the words like "yesterday" are dateparser's
(https://dateparser.readthedocs.io). What stands around them is read here: its own search takes ten milliseconds where
this takes a tenth of one, reads "we" and "sat" as days of the week, and knows neither "vorige Woche" nor "lundi
dernier".
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta, tzinfo
from enum import StrEnum
from functools import cache
from importlib import import_module
from itertools import islice
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from dateutil.relativedelta import relativedelta

_LANGUAGES = ("en", "de", "fr", "es", "pt", "it", "nl")
_MONTHS = "january february march april may june july august september october november december".split()
_WEEKDAYS = "monday tuesday wednesday thursday friday saturday sunday".split()
_NUMBERS = (
    "one two three four five six seven eight nine ten",
    "ein zwei drei vier fünf sechs sieben acht neun zehn",
    "un deux trois quatre cinq six sept huit neuf dix",
    "un dos tres cuatro cinco seis siete ocho nueve diez",
    "um dois três quatro cinco seis sete oito nove dez",
    "un due tre quattro cinque sei sette otto nove dieci",
    "een twee drie vier vijf zes zeven acht negen tien",
    "a duas",
    *("an", "eine", "einem", "einer", "une", "una", "uma"),
)
_DAYS_AWAY = {"last night": -1, "antes de ayer": -2, "avant hier": -2}
"""Those that dateparser does not know."""
_AMBIGUOUS = frozenset("may march mai mars mei".split())
"""Months that are other words as well. Alone they need `_BEFORE_MONTH`."""
_BEFORE_MONTH = re.compile(
    r"\b(?:in|during|since|until|till|by|of|from|last|this|next|early|mid|late|before|after|around|im|seit|bis|ab|anfang"
    r"|mitte|ende|en|de|depuis|desde|em|sinds|tot|begin|eind|fin)\s+$"
)
_NO_SHORT_MONTHS = frozenset("set out ago".split())
"""Short forms of months that are English words."""
_FULL_MONTHS = frozenset("may june july juni juli mai mars märz marz mayo maio mei juin août aout".split())
"""Those as long as a short form."""
_NO_WEEKDAYS = frozenset("segunda terça terca quarta quinta sexta".split())
"""Short forms of weekdays that are Portuguese numbers."""
_FRENCH = frozenset("je j tu il elle nous vous le la les une est ai qui que quoi fait dit soir matin".split())
"""Words of a text in which "hier" is yesterday; in German and Dutch it is "here"."""
_BEFORE_MORNING = re.compile(r"\b(?:guten?|goede|heute|gestern|gisteren|am|jeden|elke|deze|la|esta|cada)\s+$")
"""After these, "morgen" and "mañana" are not tomorrow."""
_PAST = (
    r"last|past|previous|(?:letzt|vorig|vergangen|vorherig)e[nrsm]?|vorige?|verleden|afgelopen|voorbije|pasad[oa]"
    r"|passad[oa]|derni[èe]re?|dernier|pass[ée]e?|scors[oa]|passat[oa]"
)
_NEXT = (
    r"next|(?:nächst|kommend)e[nrsm]?|volgende?|komende?|aanstaande|pr[óo]xim[oa]|prossim[oa]|prochaine?"
    r"|que vem|que viene"
)
_THIS = "this|diese[nrsm]?|cette|ce|est[ea]|quest[ao]|dit|deze"
_YEAR = r"(?:19|20)\d\d"
_NOT_AFTER = r"(?<![\w./-])"
_ISO = re.compile(rf"{_NOT_AFTER}({_YEAR})([-/.])(\d\d?)\2(\d\d?)(?!\w|[./-]\d)")
_ISO_MONTH = re.compile(rf"{_NOT_AFTER}({_YEAR})-(\d\d)(?!\w|[./-]\d)")
_DOTTED = re.compile(rf"{_NOT_AFTER}(\d\d?)\. ?(\d\d?)\. ?({_YEAR}|\d\d)(?!\w|[./-]\d)")
_DOTTED_DAY = re.compile(r"\b(?:am|den|vom|zum|bis|ab|seit) (\d\d?)\.(\d\d?)\.(?!\w)")
_SLASHED = re.compile(rf"{_NOT_AFTER}(\d\d?)([/-])(\d\d?)\2({_YEAR}|\d\d)(?!\w|[./-]\d)")
_BARE_YEAR = re.compile(rf"{_NOT_AFTER}({_YEAR})(?!\w|[./-]\d)")
_WORD = re.compile(r"[^\W\d_]+")
_READ = "\0"
"""What stands in place of what has been read: after "Sunday", if it was a date, the weekday says nothing more."""
_HALF_DAY: Final = 12 * 3600 * 1000
_MOST = 4


class Unit(StrEnum):
    """How long a named time is."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    YEAR = "year"


class Order(StrEnum):
    """How to read 05/03/2025."""

    DAY_FIRST = "day first"
    MONTH_FIRST = "month first"


class NamedTime(NamedTuple):
    """A time that a text names."""

    day: date
    """The day, or one of the week, month or year."""
    unit: Unit
    order: Order | None = None
    """Of a date that can be read in two ways: in which this one was."""


def named_times(text: str, today: date, *, nearest: bool = False, order: Order | None = None) -> list[NamedTime]:
    """The times that a text names, at most four.

    Args:
        text: of any language; English, German, French, Spanish, Portuguese, Italian and Dutch are understood.
        today: when it was said.
        nearest: a date without a year is the nearest one; else the last, and then the next if that is nearer. A
            weekday is the last and the next.
        order: how to read 05/03/2025; None: both ways.
    """
    return list(dict.fromkeys(islice(_Reader(today, nearest, order).read(text.lower()), _MOST)))


def written_times(text: str, said_at: int, timezone: str = "") -> list[int]:
    """The times that a passage names, but for the day on which it was said: milliseconds since the epoch, UTC.

    A day is its noon, which lies in it by nearly all clocks. A week and a month are a midnight in the middle of them,
    which equals no day. A year is left to the words.

    Args:
        timezone: in which it was said; one that this machine does not know counts as UTC.
    """
    clock: tzinfo = UTC
    with suppress(KeyError, OSError, ValueError):
        clock = ZoneInfo(timezone) if timezone else UTC
    today = datetime.fromtimestamp(said_at / 1000, clock).date()
    named = named_times(text, today, nearest=True, order=order_of([text]))
    return list(dict.fromkeys(_moment(time) for time in named if time.unit is not Unit.YEAR and time.day != today))


def noon(day: date) -> int:
    """A day, as `written_times` gives it."""
    return int(datetime(day.year, day.month, day.day, 12, tzinfo=UTC).timestamp() * 1000)


def order_of(texts: Iterable[str]) -> Order | None:
    """How dates are written here, by those that can be read in one way only; None if they say nothing, or both."""
    orders = {
        Order.DAY_FIRST if int(first) > 12 else Order.MONTH_FIRST
        for text in texts
        for first, _, second, _ in _SLASHED.findall(text)
        if (int(first) > 12) != (int(second) > 12)
    }
    return orders.pop() if len(orders) == 1 else None


def _moment(time: NamedTime) -> int:
    if time.unit is Unit.DAY:
        return noon(time.day)
    return noon(time.day.replace(day=16) if time.unit is Unit.MONTH else time.day) - _HALF_DAY


class _Reader:
    """Reads texts that were said on a day. Arguments as for `named_times`."""

    def __init__(self, today: date, nearest: bool, order: Order | None) -> None:
        self._today = today
        self._nearest = nearest
        self._order = order

    def read(self, text: str) -> Iterator[NamedTime]:
        """All times of a text in lower case; each place is read by the first rule that fits."""
        grammar = _grammar()
        words = set(_WORD.findall(text))
        dated = any(map(str.isdigit, text))
        rules: tuple[tuple[bool, re.Pattern[str], Callable[[re.Match[str]], Iterable[NamedTime]]], ...] = (
            (dated, _ISO, lambda m: self._date(int(m[4]), int(m[3]), int(m[1]))),
            (dated, _ISO_MONTH, lambda m: self._month(int(m[2]), int(m[1]))),
            (dated, _DOTTED, lambda m: self._dotted(int(m[1]), int(m[2]), int(m[3]))),
            (dated, _DOTTED_DAY, lambda m: self._date(int(m[1]), int(m[2]), None)),
            (dated, _SLASHED, lambda m: self._slashed(int(m[1]), int(m[3]), int(m[4]))),
            (
                dated and not words.isdisjoint(grammar.months),
                grammar.day_of_month,
                lambda m: self._date(int(m[1] or m[5]), grammar.months[m[2] or m[4]], _number(m[3] or m[6])),
            ),
            (not words.isdisjoint(grammar.full_months), grammar.month, self._named_month),
            (not words.isdisjoint(grammar.units), grammar.ago, self._ago),
            (not words.isdisjoint(grammar.units), grammar.relative, self._relative),
            (not words.isdisjoint(grammar.first_words_away), grammar.days_away, lambda m: self._away(m, words)),
            (not words.isdisjoint(grammar.last_words_of_weekdays), grammar.weekday, self._weekday),
            (dated, _BARE_YEAR, lambda m: [NamedTime(date(int(m[1]), 1, 1), Unit.YEAR)]),
        )
        for applies, pattern, times in rules:
            if applies:
                for match in list(pattern.finditer(text)):
                    with suppress(ValueError, OverflowError):  # the 31st of February, or at the ends of the calendar
                        yield from times(match)
                    text = f"{text[: match.start()]}{_READ * len(match[0])}{text[match.end() :]}"

    def _date(self, day: int, month: int, year: int | None) -> Iterator[NamedTime]:
        if year is not None:
            yield NamedTime(date(year if year > 99 else 2000 + year, month, day), Unit.DAY)
            return
        days = []
        for of_year in range(self._today.year - 8, self._today.year + 2):  # 29 February is not in all of them
            with suppress(ValueError):
                days.append(date(of_year, month, day))
        for chosen in self._chosen(days):
            yield NamedTime(chosen, Unit.DAY)

    def _month(self, month: int, year: int | None) -> Iterator[NamedTime]:
        if year is not None:
            yield NamedTime(date(year, month, 1), Unit.MONTH)
        else:
            years = range(self._today.year - 1, self._today.year + 2)
            for chosen in self._chosen([date(of_year, month, 1) for of_year in years]):
                yield NamedTime(chosen, Unit.MONTH)

    def _chosen(self, days: list[date]) -> list[date]:
        nearest = min(days, key=lambda day: abs(day - self._today))
        if self._nearest or nearest <= self._today:
            return [nearest]
        return [max(day for day in days if day <= self._today), nearest]

    def _dotted(self, first: int, second: int, year: int) -> Iterator[NamedTime]:
        yield from self._date(second, first, year) if second > 12 else self._date(first, second, year)

    def _slashed(self, first: int, second: int, year: int) -> Iterator[NamedTime]:
        sure = first > 12 or second > 12 or first == second
        if first <= 31 and second <= 12 and (sure or self._order is not Order.MONTH_FIRST):
            for time in self._date(first, second, year):
                yield time if sure else time._replace(order=Order.DAY_FIRST)
        if second <= 31 and first <= 12 and first != second and (sure or self._order is not Order.DAY_FIRST):
            for time in self._date(second, first, year):
                yield time if sure else time._replace(order=Order.MONTH_FIRST)

    def _named_month(self, match: re.Match[str]) -> Iterator[NamedTime]:
        if match[2] or match[1] not in _AMBIGUOUS or _BEFORE_MONTH.search(_before(match)):
            yield from self._month(_grammar().months[match[1]], _number(match[2]))

    def _ago(self, match: re.Match[str]) -> Iterator[NamedTime]:
        number, unit = match[1] or match[3] or match[5], match[2] or match[4] or match[6]
        grammar = _grammar()
        away = int(number) if number.isdigit() else grammar.numbers[number]
        yield self._shifted(away if match[5] else -away, grammar.units[unit])

    def _relative(self, match: re.Match[str]) -> Iterator[NamedTime]:
        unit = _grammar().units[match[2] or match[3]]
        if unit is not Unit.DAY:
            which = match[1] or match[4]
            away = -1 if re.fullmatch(_PAST, which) else int(re.fullmatch(_NEXT, which) is not None)
            yield self._shifted(away, unit)

    def _shifted(self, number: int, unit: Unit) -> NamedTime:
        return NamedTime(self._today + relativedelta(**{f"{unit.value}s": number}), unit)

    def _away(self, match: re.Match[str], words: set[str]) -> Iterator[NamedTime]:
        phrase = match[0]
        if phrase == "hier" and words.isdisjoint(_FRENCH):
            return
        if phrase in ("morgen", "mañana") and _BEFORE_MORNING.search(_before(match)):
            return
        yield NamedTime(self._today + timedelta(days=_grammar().away[phrase]), Unit.DAY)

    def _weekday(self, match: re.Match[str]) -> Iterator[NamedTime]:
        which = match[1] or match[3]
        back = (self._today.weekday() - _grammar().weekdays[match[2]] - 1) % 7 + 1
        next_one = which is not None and re.fullmatch(_NEXT, which) is not None
        if not next_one:
            yield NamedTime(self._today - timedelta(days=back), Unit.DAY)
        if next_one or which is None:
            yield NamedTime(self._today + timedelta(days=(7 - back) or 7), Unit.DAY)


def _before(match: re.Match[str]) -> str:
    """The word or two before it."""
    return match.string[max(0, match.start() - 12) : match.start()]


def _number(digits: str | None) -> int | None:
    return int(digits) if digits else None


class _Grammar(NamedTuple):
    """The words of all languages, in lower case, and the patterns that they make."""

    months: dict[str, int]
    full_months: frozenset[str]
    weekdays: dict[str, int]
    last_words_of_weekdays: frozenset[str]
    units: dict[str, Unit]
    numbers: dict[str, int]
    away: dict[str, int]
    """Days from today."""
    first_words_away: frozenset[str]
    day_of_month: re.Pattern[str]
    month: re.Pattern[str]
    ago: re.Pattern[str]
    relative: re.Pattern[str]
    days_away: re.Pattern[str]
    weekday: re.Pattern[str]


@cache
def _grammar() -> _Grammar:
    """Made when first needed: 0.2 s that most commands can do without."""
    infos = [import_module(f"dateparser.data.date_translation_data.{language}").info for language in _LANGUAGES]

    def numbered(keys: Iterable[str], shortest: int) -> dict[str, int]:
        forms = ((form, n) for n, key in enumerate(keys) for info in infos for form in _forms(info[key]))
        return {form: n for form, n in forms if len(form) >= shortest}

    months = {word: n + 1 for word, n in numbered(_MONTHS, 3).items() if word not in _NO_SHORT_MONTHS}
    full_months = frozenset(word for word in months if len(word) > 4 or word in _FULL_MONTHS) - {"févr", "sept"}
    weekdays = {word: n for word, n in numbered(_WEEKDAYS, 5).items() if word not in _NO_WEEKDAYS}
    units = {form: unit for unit in Unit for info in infos for form in _forms(info[unit]) if len(form) > 2}
    units |= {"an": Unit.YEAR, "jaren": Unit.YEAR}
    numbers = {word: n for line in _NUMBERS for n, word in enumerate(line.split(), 1)} | {"a couple of": 2}
    away = dict(_DAYS_AWAY)
    for info in infos:
        for key, phrases in info["relative-type"].items():
            if days := re.fullmatch(r"([012]) day ago|in ([12]) day", key):
                away |= dict.fromkeys(_forms(phrases), -int(days[1]) if days[1] else int(days[2]))
    number, unit, year = rf"\d{{1,3}}|{_any_of(numbers)}", _any_of(units), rf"(?:,?(?: of| del?)? ({_YEAR}))?\b"
    return _Grammar(
        months,
        full_months,
        weekdays,
        frozenset(re.split(r"\W", word)[0] for word in weekdays),
        units,
        numbers,
        away,
        frozenset(re.split(r"\W", phrase)[0] for phrase in away),
        re.compile(
            rf"{_NOT_AFTER}(\d\d?)(?:st|nd|rd|th|er|[.ºª°])? (?:of |de |d['’])?({_any_of(months)})\b\.?{year}"
            rf"|\b({_any_of(months)})\.? (?:the )?(\d\d?)(?:st|nd|rd|th)?(?![\w:%])(?! ?(?:am|pm|o'clock|uhr)\b){year}"
        ),
        re.compile(rf"\b({_any_of(full_months)})\b{year}"),
        re.compile(
            rf"\b(?:vor|il y a|hace|há) ({number}) ({unit})\b"
            rf"|\b({number}) ({unit}) (?:ago|fa|geleden|atrás|atras|earlier)\b"
            rf"|\b(?:in|dans|dentro de|daqui a|tra|fra) ({number}) ({unit})\b"
        ),
        re.compile(rf"\b({_PAST}|{_NEXT}|{_THIS}) ({unit})\b|\b({unit}) ({_PAST}|{_NEXT})\b"),
        re.compile(rf"\b(?:{_any_of(away)})\b"),
        re.compile(
            rf"(?:\b({_PAST}|{_NEXT}) )?\b({_any_of(weekdays)})\b(?!,? (?:the |den |der |le |el |op )?{_READ})"
            rf"(?: ({_PAST}|{_NEXT})\b)?"
        ),
    )


def _forms(words: Iterable[str]) -> Iterator[str]:
    """Each word in lower case, and as it is typed without accents."""
    for word in words:
        yield word.lower()
        yield "".join(c for c in unicodedata.normalize("NFD", word.lower()) if not unicodedata.combining(c))


def _any_of(words: Iterable[str]) -> str:
    return "|".join(map(re.escape, sorted(words, key=len, reverse=True)))
