"""Checks of what a model extracted, by code: what does not pass is not learned, and is counted.

Each rule prevents a failure that memories of others had: facts of nobody, of a friend, of a game, of the prompt, in
English throughout, with dates counted from the day of the extraction.
"""

from __future__ import annotations

import re
import uuid
from collections import Counter
from collections.abc import Iterable
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from recallr_litellm.core.facts import Fact
from recallr_litellm.core.knowledge import OF_THE_ASSISTANT, USER, Kind
from recallr_litellm.core.messages import StoredMessage
from recallr_litellm.core.owner import Owner
from recallr_litellm.core.scripts import mostly_not_latin
from recallr_litellm.core.times import Unit, named_times
from recallr_litellm.learning.extraction import LEARNED, Draft
from recallr_litellm.learning.secrets import REDACTED, redact
from recallr_litellm.learning.windows import Window

NAMESPACE = uuid.UUID("0c7a2f5e-5e6c-5b0f-8d5e-3f0b8d0b7d11")
"""Of the ids of facts (uuid5). Changing it learns everything anew."""

_ORDERS = re.compile(
    r"""\b(?:admin\w*|system|operator|developer|support|owner)\b.{0,40}\b(?:grant|allow|authori[sz]|permi|entitl)\w*
    | \b(?:is|am|are|was|has\sbeen|been)\s(?:granted|authori[sz]ed|permitted|entitled|allowed)\b
    | \b(?:ignore|disregard|forget|override)\b.{0,30}\b(?:instruction|rule|prompt|previous|above|polic)\w*
    | \b(?:system\sprompt|jailbreak|developer\smode)\b
    | \bthe\s(?:assistant|model|ai)\s(?:must|should|shall|has\sto)\b""",
    re.IGNORECASE | re.VERBOSE,
)
_NO_FACT = re.compile(
    r"\b(?:the\suser|user)\s(?:asked|asks|wants\sto\sknow|wonders|inquired|is\sasking)\b", re.IGNORECASE
)
_YEARS = timedelta(days=366 * 130)


class Rejected(Exception):
    """A draft is not learned. The text names the rule."""


def check(
    drafts: Iterable[Draft],
    window: Window,
    owner: Owner,
    timezone: ZoneInfo,
) -> tuple[list[Fact], Counter[str]]:
    """The facts that pass, and how often each rule has rejected one."""
    facts: list[Fact] = []
    rejected: Counter[str] = Counter()
    for number, draft in enumerate(drafts):
        id = uuid.uuid5(NAMESPACE, f"{owner.key} {window.id} {number}").hex
        try:
            fact = _fact(draft, window, id, timezone)
        except Rejected as reason:
            rejected[str(reason)] += 1
            continue
        facts.append(fact)
    return facts, rejected


def _fact(draft: Draft, window: Window, id: str, timezone: ZoneInfo) -> Fact:
    evidence = _evidence(draft, window)
    if draft.modality not in LEARNED:
        raise Rejected("modality")
    if REDACTED in draft.text or redact(draft.text) != draft.text:
        raise Rejected("secret")
    if _ORDERS.search(draft.text) or any(_ORDERS.search(stored.message.text[:2_000]) for stored in evidence):
        raise Rejected("instruction")
    if _NO_FACT.search(draft.text) or draft.text.endswith(("?", "？")):
        raise Rejected("question")
    said = " ".join(stored.message.text[:2_000] for stored in evidence)
    if mostly_not_latin(said) != mostly_not_latin(draft.text):
        raise Rejected("language")
    kind = _kind(draft, evidence)
    start, end = _times(draft, evidence, timezone)
    subject = draft.subject if draft.subject.casefold() not in _THE_USER else USER
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
    return draft.kind


def _times(draft: Draft, evidence: list[StoredMessage], timezone: ZoneInfo) -> tuple[int | None, int | None]:
    """The first and the last instant of the time that a draft names, on the user's clock."""
    said = max(stored.at for stored in evidence)
    today = datetime.fromtimestamp(said / 1000, timezone).date()
    span = _span(draft.start, draft.end)
    if span is not None and abs(span[0] - today) > _YEARS:
        span = None
    if span is not None and span[0] == span[1]:
        # One day is written or told ("tomorrow"): models count it from their own day, or from UTC's.
        told = {
            named.day
            for stored in evidence
            for named in named_times(
                stored.message.text[:2_000],
                datetime.fromtimestamp(stored.at / 1000, timezone).date(),
                nearest=True,
            )
            if named.unit is Unit.DAY
        }
        if len(told) == 1 and span[0] not in told:
            span = (only := told.pop(), only)
    if span is None:
        return None, None
    start = datetime.combine(span[0], time.min, timezone)
    end = datetime.combine(span[1] + timedelta(days=1), time.min, timezone)
    return int(start.timestamp() * 1000), int(end.timestamp() * 1000) - 1


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
