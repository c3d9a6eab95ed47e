"""What the user's message asks for, read without a model."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime

from recallr_litellm.core.blobs import without_blobs
from recallr_litellm.core.scripts import mostly_not_latin
from recallr_litellm.core.stopwords import ENGLISH
from recallr_litellm.recall import names
from recallr_litellm.recall.dates import Period, periods
from recallr_litellm.recall.pleasantries import is_pleasantry, says_go_on

MAX_CHARACTERS = 1_000
"""What the bundled model reads (256 word pieces) of English text."""

_HALF = MAX_CHARACTERS // 2
_READ_CHARACTERS = 20_000
"""Of a longer message, at its beginning and at its end, in which runs of bytes are looked for: about a millisecond."""
_MAX_PREVIOUS = 300
"""Characters of the message before, where the question goes on with it."""
_MOST_TELLING_WORDS = 3
"""Words beyond stop words of a question that may lean on what was said before."""

_GOES_ON = re.compile(r"(?:and|or|also|what about|how about)\b", re.I)
_REFERS = re.compile(
    r"\b(?:it|its|that|this|those|these|they|them|their|he|him|his|she|her|hers|one|ones|there|then|else)\b", re.I
)
_WHEN = re.compile(
    r"\b(?:when|what (?:date|day|month|year|time)|which (?:date|day|month|year)|how long ago"
    r"|wann|wie lange ist es her|quand|cuándo|quando|wanneer"
    r"|(?:welche[mrns]?|quelle?|qué|que|qual|quale|welke) (?:tag|datum|monat|jahr|jour|date|mois|année|día|fecha|mes"
    r"|año|dia|data|mês|ano|giorno|mese|anno|dag|maand|jaar))\b(?!ever)",
    re.I,
)
_NOW = re.compile(
    r"\b(?:now|currently|current|at the moment|at present|these days|nowadays|still|latest|newest|most recent\w*"
    r"|lately|any ?more|last time)\b"
    r"|\b(?:do|am|have) (?:i|we)\b|\b(?:is|are|['’]s) (?:my|our)\b",
    re.I,
)
_YOU_SAID = re.compile(
    r"\b(?:did|have|had|were|was|would) you\b"
    r"|\byou (?:\w+ )?(?:said|told|gave|suggest|recommend|mention|explain|advise|list|propose|describe|wrote|show)\w*"
    r"|\byour (?:\w+ )?(?:suggestion|recommendation|advice|answer|explanation|list|plan|recipe|idea|tip)s?\b",
    re.I,
)
_I_ASKED = re.compile(r"\b(?:did|have|had) i (?:\w+ )?ask\w*|\bi (?:\w+ )?asked\b|\bmy (?:\w+ )?questions?\b", re.I)
_PAST = re.compile(
    r"""\b(?:
      used\sto | before | previous(?:ly)? | former(?:ly)? | earlier | in\sthe\spast | back\sthen | at\sthe\stime
    | at\sfirst | originally | ex | (?<!how\s)(?<!years\s)(?<!year\s)old | last\stime | until\swhen | no\slonger
    | any\s?more | history
    | did\s(?:i|we)\s(?:\w+ly\s)?(?:use\sto|live|work|have|own|drive|study|play|eat|weigh|earn|believe|want|plan|prefer)
    | früher\w* | damals | vorher\w* | zuvor | ehemal\w+ | einst | vormals | bisher\w* | nicht\smehr | bis\swann
    | alte[nrsm]? | (?:wohn|leb|arbeite|hat)te\s(?:ich|wir) | gewohnt | gelebt | gearbeitet
    | avant | autrefois | auparavant | jadis | ancien(?:ne)?s? | anciennement | précédent\w* | à\sl['’]époque
    | dans\sle\spassé | jusqu['’]à\squand | (?:habit|viv|travaill|av)(?:ais-je|ions-nous)
    | antes | antigu[oa]s? | antiguamente | anterior(?:es|mente)? | en\sel\spasado | solía\w* | ya\sno | hasta\scuándo
    | vivía\w* | trabajaba\w* | tenía\w*
    | antig[oa]s? | antigamente | no\spassado | costumava\w* | já\snão | até\squando | morava\w* | trabalhava\w*
    | in\spassato | precedent[ei]\w* | un\stempo | una\svolta | vecchi[oa]? | fino\sa\squando | abitav\w+ | vivev\w+
    | lavorav\w+ | prima\sd(?:i\b|['’]) | prima(?=\W*$) | ^\W*prima(?=\s(?:dove|che|cosa|come|qual|chi))
    | vroeger\w* | toen | voorheen | destijds | eerder\w* | voormalige? | vorige? | oude | niet\smeer | tot\swanneer
    | (?:woon|werk|leef|ha)(?:de|te|d)\s(?:ik|we|wij)
    )\b""",
    re.I | re.X,
)
"""What was so, in the languages whose times are understood (`core/times.py`). Where it is taken for more, what is no
longer true is found as well, and shown as over."""
_WORD = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class Question:
    """What is searched for, and what an answer must look like."""

    text: str
    """What to search with; "" when there is nothing to search for."""
    names: tuple[str, ...] = ()
    """Words that may be names."""
    periods: tuple[Period, ...] = ()
    """Times that it names."""
    asks_when: bool = False
    asks_for_now: bool = False
    """What is so at present, when it may have been otherwise before."""
    asks_for_the_past: bool = False
    """What was so, and may be no longer."""
    asks_what_assistant_said: bool = False
    asks_what_was_asked: bool = False
    other_script: bool = False
    """It is written in another script than Latin."""
    """Which questions the user asked before."""


def read(message: str, *, previous: str = "", now: datetime | None = None) -> Question:
    """The question in a user's message.

    Args:
        message: the user's own words, of any length and language.
        previous: the user's message before it in the same conversation, "" if there is none.
        now: when it is asked, aware, in the user's timezone; without it the clock of this machine in UTC.
    """
    own = searchable(message)
    if says_go_on(own):
        own, previous = searchable(previous), ""
    if not own or is_pleasantry(own):
        return Question("")
    text = searchable(f"{previous[-_MAX_PREVIOUS:]} {own}") if previous and elliptic(own) else own
    named = periods(own, now or datetime.now(UTC))
    return Question(
        text,
        names=names.candidates(text),
        periods=named,
        asks_when=bool(_WHEN.search(own)),
        asks_for_now=bool(_NOW.search(own)),
        asks_for_the_past=any(period.begun for period in named) or bool(_PAST.search(own)),
        asks_what_assistant_said=bool(_YOU_SAID.search(own)),
        asks_what_was_asked=bool(_I_ASKED.search(own)),
        other_script=mostly_not_latin(text),
    )


def needs_previous(message: str) -> bool:
    """Whether `read` looks at the user's message before this one."""
    own = searchable(message)
    return says_go_on(own) or elliptic(own)


def elliptic(text: str) -> bool:
    """Whether a question can hardly be understood without what was said before: "And when is her birthday?" """
    telling = sum(word not in ENGLISH for word in _WORD.findall(text.lower()))
    return telling == 0 or (telling <= _MOST_TELLING_WORDS and bool(_REFERS.search(text) or _GOES_ON.match(text)))


def searchable(question: str) -> str:
    """The text to search with: on one line, and of a long message its beginning and its end.

    A pasted page has the request before or after it, seldom within, and a model that reads only
    the first page would never see the latter.

    Returns:
        At most `MAX_CHARACTERS` and a space; "" when there is no letter or digit to search for.
    """
    if len(question) > 2 * _READ_CHARACTERS:
        question = f"{question[:_READ_CHARACTERS]} {question[-_READ_CHARACTERS:]}"
    text = without_blobs(question).strip()
    if len(text) > MAX_CHARACTERS:
        text = f"{text[:_HALF]} {text[-_HALF:]}"
    return " ".join(text.split()) if any(map(str.isalnum, text)) else ""
