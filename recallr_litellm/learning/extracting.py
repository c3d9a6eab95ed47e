"""Having a model extract the facts of a session, window by window; each window's are kept once they are there."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Sequence
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from recallr_litellm.core.facts import Extraction
from recallr_litellm.core.messages import StoredMessage
from recallr_litellm.core.owner import Owner
from recallr_litellm.errors import ModelRefused, ModelSlow
from recallr_litellm.learning.checks import LANGUAGE, check
from recallr_litellm.learning.extraction import SCHEMA, Draft, drafts
from recallr_litellm.learning.model import WriteJson, Written
from recallr_litellm.learning.prompts import extract, repair
from recallr_litellm.learning.structured import loops
from recallr_litellm.learning.windows import Window, halves, windows
from recallr_litellm.metrics import FACTS

ANSWER_TOKENS = 4_000
_HALVINGS = 3
"""How often a window is halved whose answer is too long, too slow or refused: what else it costs is bounded."""
_SHAPE = '{"facts": […]}'


class Rules(NamedTuple):
    """What a project wants to be learned."""

    categories: tuple[str, ...] = ()
    """Of facts; any where there are none."""
    include: str = ""
    """In words of its own, with examples."""
    exclude: str = ""
    conflicts: bool = False
    """Contradictions are put to the user."""


class _Answer(NamedTuple):
    """What a model answered."""

    asked: list[dict[str, Any]]
    text: str
    drafts: list[Draft] | None
    """None where it gave nothing that can be read."""


class Extractor:
    """Extracts facts.

    Args:
        write: asks the model; what it uses is counted by whoever gives it.
    """

    def __init__(self, write: WriteJson) -> None:
        self._write = write

    async def __call__(
        self,
        owner: Owner,
        session_id: str,
        messages: Sequence[StoredMessage],
        kept: Sequence[Extraction],
        timezone: ZoneInfo,
        rules: Rules,
    ) -> AsyncIterator[Extraction]:
        """What the windows of a session say that were not extracted yet, each to be kept before the next is asked for.

        Args:
            kept: what was extracted of it.
            timezone: that of the user.

        Raises:
            ModelUnavailable: the model does not answer.
        """
        known = {message for extraction in kept for message in extraction.messages}
        for window in windows(messages, known=known):
            async for one, answer in self._read(window, timezone, rules):
                read = answer.drafts
                facts, rejected = check(read or (), one, owner, timezone, rules.categories)
                if rejected[LANGUAGE]:
                    again = await self._in_their_language(answer)
                    repaired, of_these = check(again, one, owner, timezone, rules.categories)
                    if len(repaired) > len(facts):
                        facts, rejected = repaired, of_these
                count_facts(Counter(extracted=len(facts), **rejected))
                yield Extraction(
                    session=session_id,
                    window=one.id,
                    prompt=extract.VERSION,
                    messages=tuple(stored.id for stored in one.targets),
                    facts=tuple(facts),
                    rejected=dict(rejected),
                    unread=read is None,
                    reconciled=not facts,
                )

    async def _read(
        self, window: Window, timezone: ZoneInfo, rules: Rules, halved: int = 0
    ) -> AsyncIterator[tuple[Window, _Answer]]:
        """What the model answers for a window; or for its halves, where the answer for the whole was cut off or did not
        come in time, or the model does not take it."""
        asked = extract.messages(
            window, timezone, categories=rules.categories, include=rules.include, exclude=rules.exclude
        )
        parts = halves(window) if halved < _HALVINGS else (window,)
        try:
            written = await self._ask(asked)
        except ModelRefused:
            written = None
        except ModelSlow:
            if len(parts) == 1:
                raise
            written = Written("", cut_off=True)
        looping = written is not None and written.cut_off and loops(written.text)
        if len(parts) > 1 and (written is None or (written.cut_off and not looping)):
            for part in parts:
                async for read in self._read(part, timezone, rules, halved + 1):
                    yield read
            return
        found = drafts(written.text) if written is not None else None
        if found is None and written is not None and not written.cut_off:
            written = await self._again(repair.messages(asked, written.text, _SHAPE))
            found = drafts(written.text)
        yield window, _Answer(asked, written.text if written is not None else "", found)

    async def _in_their_language(self, answer: _Answer) -> list[Draft]:
        """The facts of an answer once more; empty where the model does not give them."""
        try:
            written = await self._again(repair.in_their_language(answer.asked, answer.text))
        except ModelSlow:  # what is right of the first answer is there
            return []
        return drafts(written.text) or []

    async def _again(self, messages: list[dict[str, Any]]) -> Written:
        """The answer to a repair; an empty one where the model refuses it."""
        try:
            return await self._ask(messages)
        except ModelRefused:
            return Written("")

    async def _ask(self, messages: list[dict[str, Any]]) -> Written:
        return await self._write(messages, SCHEMA, name="facts", max_tokens=ANSWER_TOKENS)


def count_facts(counted: Counter[str]) -> None:
    """Add to the metric of facts."""
    for outcome, number in counted.items():
        if number:
            FACTS.labels(outcome).inc(number)
