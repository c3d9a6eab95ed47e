"""The details of a sentence that must never be lost when two sentences become one: numbers, names, negation."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

_NUMBER = re.compile(r"\d+(?:[.,:/]\d+)*")
_WORD = re.compile(r"[^\W\d_][\w'’-]*")
_COMMON_OPENINGS = frozenset(
    "the a an user users user's he she they it his her their its my our in on at since from when as for with and but "
    "der die das ein eine seit le la les un une el los las il lo uno una o os um uma de het een".split()
)

_NEGATION = re.compile(
    r"""\b(?:not|no|never|cannot|without|hates?|dislikes?|refuses?|nicht|kein\w*|nie(?:mals)?|ohne|hasst|pas|jamais|sans|déteste|nunca|sin|odia
    |não|sem|odeia|non|mai|senza|niet|geen|nooit|zonder)\b|n['’]t\b|\bn['’]|不|没|ない|嫌い|\b(?:не|нет|никогда)\b""",
    re.IGNORECASE | re.VERBOSE,
)


def negates(text: str) -> bool:
    """Whether a sentence says that something is not so, by words of several languages."""
    return _NEGATION.search(text) is not None


def numbers(text: str) -> frozenset[str]:
    """Numbers of a text, as written; dates among them."""
    return frozenset(_NUMBER.findall(unicodedata.normalize("NFKC", text)))


def names(text: str) -> frozenset[str]:
    """Words that begin with a capital letter, in lower case: names, and in German all nouns."""
    words = _WORD.findall(text)
    return frozenset(
        word.casefold().removesuffix("'s").removesuffix("’s")
        for word in words
        if word[0].isupper() and word.casefold() not in _COMMON_OPENINGS
    )


def details(text: str) -> frozenset[str]:
    """What must survive."""
    return numbers(text) | names(text)


def keeps(text: str, of: Iterable[str]) -> bool:
    """Whether a text still says all details of some texts."""
    said = details(text) | {word.casefold() for word in _WORD.findall(text)}
    return all(details(one) <= said for one in of)
