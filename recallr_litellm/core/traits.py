"""What can be told of a passage by its words alone, whatever is asked.

Read once, when a passage is written, and kept beside it: a recall looks at a hundred passages, and reading them all
again took longer than the search. Whoever changes what is kept raises `schema.SCHEMA_VERSION`. A rule that knows more
words needs no new one: what is stored stays as the old rule read it.
"""

from __future__ import annotations

import hashlib
import re
from typing import NamedTuple

from recallr_litellm.core.messages import Role
from recallr_litellm.core.statements import ends_asking, states_nothing

_TIME_WORDS = frozenset(
    "yesterday today tonight tomorrow ago weekend weekends monday tuesday wednesday thursday friday saturday sunday "
    "mondays tuesdays wednesdays thursdays fridays saturdays sundays january february march april june july august "
    "september october november december".split()
)
_RELATIVE = frozenset("last next this past".split())
_SPANS = frozenset("week month year night summer winter spring fall autumn".split())
_LETTERS = re.compile(r"[a-z]+")
_FIGURES = re.compile(r"\d{4}|\d(?:st|nd|rd|th)\b|\d[:.]\d\d|\d ?[ap]\.?m\b|\bMay\b")

_LABEL = re.compile(r"^([^\W\d_][\w .'’-]{0,38}?): ")

_WORD = re.compile(r"\w+(?:[.,:/'’-]\w+)*")
"""With what belongs to it: 1.5 and 15, can't and can are different words."""
_FILLERS = frozenset("oh ah well so just please hi hello hey ok okay um actually really again thanks".split())
_GIST_BYTES = 9
"""Of the digest: two of a user's passages meet by chance once in some 10^21 pairs."""


class Traits(NamedTuple):
    """What a passage is like."""

    words: int = 0
    ends_asking: bool = False
    states_nothing: bool = False
    """It only asks, or only says that it does not know (`core/statements.py`)."""
    names_a_time: bool = False
    speaker: str = ""
    """First name of who a line of a chat export, `Name: text`, is by; "" for a text without one."""
    gist: str = ""
    """The same for texts of the same words: case, punctuation and words like "please" do not count. Any other word
    does: "I weigh 84 kg" and "I weigh 79 kg", or with and without a "not", are two things to know."""


def traits_of(text: str, role: Role) -> Traits:
    """Read a passage; some 30 µs for a hundred characters."""
    return Traits(
        words=text.count(" ") + 1,
        ends_asking=ends_asking(text),
        states_nothing=states_nothing(_LABEL.sub("", text, count=1), role),
        names_a_time=names_a_time(text),
        speaker=speaker(text),
        gist=gist(text),
    )


def names_a_time(text: str) -> bool:
    """Whether a passage says when something is, was or will be; English only."""
    words = set(_LETTERS.findall(text.lower()))
    if not _TIME_WORDS.isdisjoint(words) or (not _RELATIVE.isdisjoint(words) and not _SPANS.isdisjoint(words)):
        return True
    return bool(_FIGURES.search(text))


def speaker(text: str) -> str:
    """See `Traits.speaker`."""
    label = _LABEL.match(text)
    return label[1].partition(" ")[0] if label else ""


def gist(text: str) -> str:
    """See `Traits.gist`."""
    words = _WORD.findall(text.casefold())
    telling = [word for word in words if word not in _FILLERS] or words or [text]
    return hashlib.blake2b("\0".join(telling).encode("utf-8", "surrogatepass"), digest_size=_GIST_BYTES).hexdigest()
