"""Names in a question that the user's own memory knows.

A name that stands in every third message tells the messages apart as little as "the" does, but weighs heavily in
an embedding: a question with such a name resembles whatever else is said of or by that person. So names known
from the memory are taken out of what is embedded; the search by words, which knows how rare a word is, keeps them.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence
from enum import Enum

from cachetools import TTLCache

from recallr_litellm.core.owner import Owner
from recallr_litellm.core.stopwords import ENGLISH
from recallr_litellm.core.traits import speaker

MOST = 4
"""Names of one question that are looked up."""
LOOKED_UP = 12
"""Passages that are looked at for each. As many as that with the name in them: it is frequent."""
REMEMBERED_SECONDS = 600
MOST_REMEMBERED = 10_000
"""Names, of all owners: about 3 MB."""

_CAPITALISED = re.compile(r"\b(?:[A-Z]|(?=[^\W\d_a-z])[^\W\d_])[^\W\d_]+(?:-[^\W\d_]+)*")
_SHORTEST = 2


def candidates(text: str) -> tuple[str, ...]:
    """Words of a question that may be names: capitalised, and no stop word."""
    found = (word for word in _CAPITALISED.findall(text) if word[0].isupper() and word[1:].islower())
    return tuple(dict.fromkeys(w for w in found if len(w) >= _SHORTEST and w.lower() not in ENGLISH))[:MOST]


class Known(Enum):
    """What a memory knows a name as."""

    NOT = "not"
    """Not at all, or as one name among many: it tells messages apart."""
    FREQUENT = "frequent"
    """It is spoken of all the time."""
    SPEAKER = "speaker"
    """Lines of `Name: text` are by them."""


def known_as(name: str, texts: Sequence[str]) -> Known:
    """What a name is, by up to `LOOKED_UP` passages in which the word stands."""
    lines = sum(speaker(text) == name for text in texts)
    # A speaker is spoken to as well: of the 12 passages of a name in LoCoMo, 7 to 12 are lines of the speaker with
    # that name, and none of anybody else. Not half of them, then: at 7, what it is would hang on which of equally good
    # passages are found.
    if lines > 1 and 4 * lines > len(texts):
        return Known.SPEAKER
    if len(texts) >= LOOKED_UP and sum(name in text for text in texts) > 0.75 * len(texts):
        return Known.FREQUENT
    return Known.NOT


Look = Callable[[Sequence[str]], Awaitable[Sequence[Sequence[str]]]]
"""Words → for each, up to `LOOKED_UP` of the owner's passages with it."""


class NameBook:
    """Looks names up, and remembers for `REMEMBERED_SECONDS` what came of it: the same few come again and again."""

    def __init__(self) -> None:
        self._known: TTLCache[tuple[str, str], Known] = TTLCache(MOST_REMEMBERED, REMEMBERED_SECONDS)

    async def look_up(self, owner: Owner, names: Sequence[str], look: Look) -> dict[Known, frozenset[str]]:
        """The names by what the owner's memory knows them as. Raises what `look` raises."""
        found = {name: self._known.get((owner.key, name)) for name in names}
        if unknown := [name for name, known in found.items() if known is None]:
            for name, texts in zip(unknown, await look(unknown), strict=True):
                found[name] = self._known[owner.key, name] = known_as(name, texts)
        return {known: frozenset(name for name in names if found[name] is known) for known in Known}


def without(text: str, names: frozenset[str]) -> str:
    """The text without these names; as it was when nothing but them would be left out of it."""
    if not names:
        return text
    pattern = re.compile(rf"\b(?:{'|'.join(map(re.escape, sorted(names)))})\b(?:['’]s)?")
    left = " ".join(pattern.sub("", text).split())
    return left if any(map(str.isalnum, left)) else text
