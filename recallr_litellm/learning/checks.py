"""Checks of what a model extracted, by code: what does not pass is not learned, and is counted.

Each rule prevents a failure that memories of others had: facts of nobody, of a friend, of a game, of the prompt, in
English throughout, with dates counted from the day of the extraction.
"""

from __future__ import annotations

import re
import uuid
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import date, datetime, time, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

from recallr_litellm.core.facts import Fact
from recallr_litellm.core.knowledge import OF_THE_ASSISTANT, USER, Kind
from recallr_litellm.core.languages import in_another_language
from recallr_litellm.core.messages import StoredMessage
from recallr_litellm.core.owner import Owner
from recallr_litellm.core.people import another
from recallr_litellm.core.scripts import mostly_not_latin
from recallr_litellm.core.times import NamedTime, Unit, named_times
from recallr_litellm.learning.details import numbers
from recallr_litellm.learning.extraction import LEARNED, Draft
from recallr_litellm.learning.orders import is_order
from recallr_litellm.learning.prompts import extract
from recallr_litellm.learning.secrets import REDACTED, redact
from recallr_litellm.learning.windows import Window, readable
from recallr_litellm.learning.wording import fault, sentences, shared, telling

NAMESPACE = uuid.UUID("0c7a2f5e-5e6c-5b0f-8d5e-3f0b8d0b7d11")
"""Of the ids of facts (uuid5). Changing it learns everything anew."""

_NO_FACT = re.compile(
    r"\b(?:the\suser|user)\s(?:asked|asks|wants\sto\sknow|wonders|inquired|is\sasking)\b", re.IGNORECASE
)
_MOST = 2_000
"""Characters of a message that are looked at."""
_YEARS = timedelta(days=366 * 130)


LANGUAGE = "language"
"""Names the rule that a fact is in the language of what it rests on: a model can be asked to keep to it."""


class Rejected(Exception):
    """A draft is not learned. The text names the rule."""


def check(
    drafts: Iterable[Draft],
    window: Window,
    owner: Owner,
    timezone: ZoneInfo,
    categories: Sequence[str] = (),
) -> tuple[list[Fact], Counter[str]]:
    """The facts that pass, and how often each rule has rejected one.

    Args:
        categories: those that a project has; any where there are none.
    """
    wanted = {name.casefold(): name for name in categories}
    facts: list[Fact] = []
    rejected: Counter[str] = Counter()
    of_window = telling(" ".join(f"{one.message.name} {readable(one)}" for one in window.messages))
    for number, draft in enumerate(drafts):
        id = uuid.uuid5(NAMESPACE, f"{owner.key} {window.id} {number}").hex
        try:
            fact = _fact(draft, window, of_window, id, timezone)
            if wanted:
                named = (wanted.get(name.casefold()) for name in fact.categories)
                fact = fact.model_copy(update={"categories": tuple(dict.fromkeys(filter(None, named)))})
        except Rejected as reason:
            rejected[str(reason)] += 1
            continue
        facts.append(fact)
    return facts, rejected


def _is_said(text: str, said: frozenset[str]) -> bool:
    """Whether a text has anything in common with what was said: what has not is invented, whatever it cites."""
    words = telling(text)
    return not words or not words.isdisjoint(said) or mostly_not_latin(text) or shared(words, said) > 0


def _fact(draft: Draft, window: Window, of_window: frozenset[str], id: str, timezone: ZoneInfo) -> Fact:
    evidence = _evidence(draft, window)
    if draft.modality not in LEARNED:
        raise Rejected("modality")
    if REDACTED in draft.text or redact(draft.text) != draft.text:
        raise Rejected("secret")
    if _NO_FACT.search(draft.text) or draft.text.endswith(("?", "？")):
        raise Rejected("question")
    texts = [stored.message.text[:_MOST] for stored in evidence]
    if is_order(draft.text) or any(map(is_order, sentences(draft.text, texts) or texts)):
        raise Rejected("instruction")
    said = " ".join(texts)
    if mostly_not_latin(said) != mostly_not_latin(draft.text) or in_another_language(draft.text, said):
        raise Rejected(LANGUAGE)
    if draft.text in extract.EXAMPLES or not _is_said(draft.text, of_window):
        raise Rejected("evidence")
    kind = _kind(draft, evidence)
    subject = _subject(draft)
    if kind not in OF_THE_ASSISTANT and (rule := _fault(draft, kind, subject, evidence, window)):
        raise Rejected(rule)
    start, end = _times(draft, kind, evidence, timezone)
    return Fact(
        id=id,
        text=draft.text,
        subject=subject,
        attribute=draft.attribute,
        kind=kind,
        negated=draft.negated,
        start=start,
        end=end,
        entities=tuple(entity for entity in draft.entities if entity.name.casefold() not in _THE_USER),
        categories=draft.categories,
        confidence=draft.confidence,
        questions=tuple(redact(question) for question in draft.questions),
        said_at=max(stored.at for stored in evidence),
        sources=tuple(stored.id for stored in evidence),
    )


_THE_USER = frozenset({"user", "the user", "i", "me", "myself", "users", "assistant", "the assistant", ""})


def _evidence(draft: Draft, window: Window) -> list[StoredMessage]:
    """The target messages that a draft rests on. Numbers begin with 1, as the prompt shows them."""
    numbered = dict(enumerate(window.messages, 1))
    targets = {stored.id for stored in window.targets}
    cited = [numbered[number] for number in dict.fromkeys(draft.evidence) if number in numbered]
    found = [stored for stored in cited if stored.id in targets]
    if not found:
        raise Rejected("evidence")
    return found


def _kind(draft: Draft, evidence: Iterable[StoredMessage]) -> Kind:
    """Whose words they are decides: what the assistant said is what it gave, never what is true of the user."""
    by_user = any(stored.message.role == "user" for stored in evidence)
    if not by_user and draft.kind not in OF_THE_ASSISTANT:
        raise Rejected("assistant")
    if draft.kind in OF_THE_ASSISTANT and _OF_THE_USER.match(draft.text) and not _GIVES.search(draft.text):
        raise Rejected("assistant")  # "User loves Dickens" is no answer, whatever the model calls it
    by_assistant = any(stored.message.role == "assistant" for stored in evidence)
    return draft.kind if by_assistant or draft.kind not in OF_THE_ASSISTANT else Kind.FACT


_OF_THE_USER = re.compile(r"(?:the\s)?user\b", re.IGNORECASE)
_GIVES = re.compile(
    r"""assist|recommend|suggest|advi[sc]e|propos|\b(?:told|taught|shown|given|offered|answer\w*|explain\w*|tips?|should|could
    |received|got|learn\w*)\b|empf|vorgeschlag|vorschlag|\b(?:rat|riet|geraten|erklär\w*|sollte)\b|conseil|expliqu|recomend|sugir|suger
    |aconsej|aconselh|explic|consigli|raccomand|spieg|aanbev|aanger|uitgelegd""",
    re.IGNORECASE | re.VERBOSE,
)
"""Says that something was given."""


def _subject(draft: Draft) -> str:
    """Whom a draft is about: what its text begins with counts more than what the model calls it."""
    written = _POSSESSIVE.sub("", draft.subject)
    if written.casefold() in _THE_USER or written.casefold() == draft.text.casefold():
        return another(draft.text) or USER
    return written


_POSSESSIVE = re.compile(r"^(?:the\s)?user['’]s\s", re.IGNORECASE)


def _fault(draft: Draft, kind: Kind, subject: str, evidence: Sequence[StoredMessage], window: Window) -> str:
    """What is wrong with a draft by the user's words that it rests on; "" where nothing is."""
    said = [stored for stored in evidence if stored.message.role == "user"]
    before = [stored.message.text for stored in evidence if stored.message.role == "assistant"]
    for earlier, stored in pairwise(window.messages):
        if stored in said and earlier.message.role == "assistant":
            before.append(earlier.message.text)
    return fault(
        draft.text,
        [stored.message.text for stored in said],
        before,
        negated=draft.negated,
        commits=kind in (Kind.PLAN, Kind.DECISION, Kind.COMMITMENT),
        about_user=subject == USER,
    )


def _times(
    draft: Draft, kind: Kind, evidence: Sequence[StoredMessage], timezone: ZoneInfo
) -> tuple[int | None, int | None]:
    """The first and the last instant of the time that a draft names, on the user's clock; no end of what goes on."""
    said = max(stored.at for stored in evidence)
    today = datetime.fromtimestamp(said / 1000, timezone).date()
    span = _span(draft.start, draft.end)
    if span is not None and abs(span[0] - today) > _YEARS:
        span = None
    told = _told(draft, evidence, timezone)
    if span is not None and span[0] == span[1]:
        # One day is written or told ("tomorrow"): models count it from their own day, or from UTC's.
        days = {one.day for one in told if one.unit is Unit.DAY}
        written = numbers(" ".join(stored.message.text[:_MOST] for stored in evidence))
        if len(days) == 1 and span[0] not in days and str(span[0].day) not in written:
            span = (only := days.pop(), only)
    if span is None and len(told) == 1 and not draft.start and not draft.end:
        span = _left_out(told[0], draft.text, kind, today)
    if span is None:
        return None, None
    start = datetime.combine(span[0], time.min, timezone)
    end = datetime.combine(span[1] + timedelta(days=1), time.min, timezone)
    goes_on = not draft.end and span[1] <= today and _SINCE.search(draft.text) is not None
    return int(start.timestamp() * 1000), None if goes_on else int(end.timestamp() * 1000) - 1


_SINCE = re.compile(r"\b(?:since|seit|depuis|desde|sinds|dal)\b|从|以来", re.IGNORECASE)
_WAS = re.compile(
    r"\b(?:was|were|had|lived|worked|studied|used\sto|until|war|hatte|wohnte|arbeitete|bis|était|avait|habitait|travaillait"
    r"|era|tenía|vivía|trabajaba|vivia|trabalhava|aveva|viveva|lavorava|woonde|werkte)\b",
    re.IGNORECASE,
)


def _told(draft: Draft, evidence: Sequence[StoredMessage], timezone: ZoneInfo) -> list[NamedTime]:
    """The times in what a draft rests on: those of the sentence that says it, else of the message."""
    found: dict[NamedTime, None] = {}
    for stored in evidence:
        text = stored.message.text[:_MOST]
        today = datetime.fromtimestamp(stored.at / 1000, timezone).date()
        times = [named_times(part, today, nearest=True) for part in (*sentences(draft.text, [text]), text)]
        found.update(dict.fromkeys(next(filter(None, times), [])))
    return list(found)


def _left_out(told: NamedTime, text: str, kind: Kind, today: date) -> tuple[date, date] | None:
    """The span that a model left out: of what happened or will on a day, and of what was so until a time long ago."""
    if told.unit is Unit.DAY:
        return (told.day, told.day) if kind in _DATED else None
    if told.unit is Unit.WEEK or not _WAS.search(text) or _SINCE.search(text):
        return None
    span = _days(f"{told.day:%Y}" if told.unit is Unit.YEAR else f"{told.day:%Y-%m}")
    return span if span is not None and span[1] < today else None


_DATED = frozenset({Kind.EVENT, Kind.PLAN, Kind.COMMITMENT})
_DATE = re.compile(r"(\d{4})(?:-(\d\d?))?(?:-(\d\d?))?")


def _span(start: str, end: str) -> tuple[date, date] | None:
    """The first and the last day of what is written as `2025`, `2025-03` or `2025-03-14`, with any time of day."""
    first, last = _days(start), _days(end)
    if first is None:
        return last
    if last is None or last[1] < first[0]:
        return first
    return first[0], last[1]


def _days(written: str) -> tuple[date, date] | None:
    found = _DATE.match(written.strip())
    if not found:
        return None
    year, month, day = int(found[1]), found[2], found[3]
    try:
        if day:
            return (one := date(year, int(month), int(day)), one)
        first = date(year, int(month or 1), 1)
        following = date(year + 1, 1, 1) if not month or month in ("12",) else date(year, int(month) + 1, 1)
        return first, following - timedelta(days=1)
    except ValueError:
        return None
