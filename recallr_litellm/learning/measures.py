"""Numbers of a sentence with what they measure: whether "80 kg" and "176 lb" are the same, and what is counted."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, NamedTuple

_UNITS: Final[Mapping[str, tuple[str, float]]] = {
    **dict.fromkeys("g gram grams gramm grammes".split(), ("weight", 0.001)),
    **dict.fromkeys("kg kgs kilo kilos kilogram kilograms kilogramm".split(), ("weight", 1.0)),
    **dict.fromkeys("lb lbs pound pounds".split(), ("weight", 0.45359237)),
    **dict.fromkeys("st stone".split(), ("weight", 6.35029318)),
    **dict.fromkeys("cm centimetre centimetres centimeter centimeters zentimeter".split(), ("length", 0.01)),
    **dict.fromkeys("m metre metres meter meters".split(), ("length", 1.0)),
    **dict.fromkeys("km kilometre kilometres kilometer kilometers".split(), ("length", 1000.0)),
    **dict.fromkeys("in inch inches".split(), ("length", 0.0254)),
    **dict.fromkeys("ft foot feet".split(), ("length", 0.3048)),
    **dict.fromkeys("mi mile miles".split(), ("length", 1609.344)),
    **dict.fromkeys("mg milligram milligrams".split(), ("weight", 0.000001)),
    **dict.fromkeys("mcg µg microgram micrograms".split(), ("weight", 0.000000001)),
    **dict.fromkeys("min minute minutes minuten".split(), ("time", 60.0)),
    **dict.fromkeys("h hour hours stunde stunden heure heures".split(), ("time", 3600.0)),
    **dict.fromkeys("l litre litres liter liters".split(), ("volume", 1.0)),
    **dict.fromkeys("ml millilitre millilitres milliliter".split(), ("volume", 0.001)),
}
_NEAR: Final = 0.02
"""Share by which a converted number may differ: "80 kg" is said to be "176 lb"."""
_WORDS: Final = {
    word: number
    for row in (
        "one two three four five six seven eight nine ten eleven twelve",
        "eins zwei drei vier fünf sechs sieben acht neun zehn elf zwölf",
        "_ deux trois quatre cinq _ sept huit neuf dix onze douze",
        "_ dos tres cuatro cinco seis siete ocho nueve diez once doce",
        "_ dois três quatro _ _ sete oito nove dez",
        "_ due tre quattro cinque sei sette otto nove dieci",
        "_ twee drie vier vijf zes zeven acht negen tien",
        "_ duas",
    )
    for number, word in enumerate(row.split(), 1)
    if word != "_"
}
_NUMBER: Final = re.compile(
    rf"(?<![\w.,])(?P<number>\d+(?:[.,:/]\d+)*|\b(?:{'|'.join(_WORDS)})\b)(?:st|nd|rd|th)?\s?(?P<what>[^\W\d_]+)?",
    re.IGNORECASE,
)


class Measure(NamedTuple):
    """A number of a text."""

    number: str
    """Digits, as written; a word like "two" as its digit."""
    what: str
    """The word behind it, in lower case; "" where there is none."""


def measures(text: str) -> list[Measure]:
    """The numbers of a text, in digits or words."""
    return [
        Measure(str(_WORDS.get(found["number"].casefold(), found["number"])), (found["what"] or "").casefold())
        for found in _NUMBER.finditer(text)
    ]


def disagree(one: str, other: str) -> bool:
    """Whether two sentences have numbers that cannot be the same: "10 mg" and "20 mg"."""
    ours, theirs = measures(one), measures(other)
    here, there = {measure.number for measure in ours}, {measure.number for measure in theirs}
    only_ours = [measure for measure in ours if measure.number not in there]
    only_theirs = [measure for measure in theirs if measure.number not in here]
    if not only_ours or not only_theirs:
        return False
    return not all(any(_same(measure, another) for another in theirs) for measure in only_ours)


def tells_more(one: str, than: str) -> bool:
    """Whether a sentence has a number that another has not, be it in other units."""
    known = measures(than)
    return not all(
        any(measure.number == another.number or _same(measure, another) for another in known)
        for measure in measures(one)
    )


def counted(text: str) -> list[str]:
    """What a text says how many there are of: "two dogs" → dogs."""
    return [
        what
        for number, what in measures(text)
        if what and what not in _UNITS and number.isdigit() and int(number) < 1000
    ]


def _same(one: Measure, other: Measure) -> bool:
    of_one, of_other = _UNITS.get(one.what), _UNITS.get(other.what)
    try:
        first, second = float(one.number.replace(",", ".")), float(other.number.replace(",", "."))
    except ValueError:
        return False
    if of_one is None or of_other is None or of_one[0] != of_other[0]:
        return first == second
    value, another = first * of_one[1], second * of_other[1]
    return abs(value - another) <= _NEAR * max(value, another) if one.what != other.what else first == second
