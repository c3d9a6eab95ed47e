"""What the model reports: checked against what it was shown, and put in front of what was recalled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from recallr_litellm.core.options import RecallOptions
from recallr_litellm.core.recalled import Finding, Recalled, RecalledPassage
from recallr_litellm.recall.agentic.arguments import Reported
from recallr_litellm.recall.agentic.ledger import Ledger

MAX_FINDINGS = 20
"""Findings of one search; the rest is dropped."""
FINDING_CHARACTERS = 600
"""Most of a finding's text; what is longer is cut."""
CITED_RELEVANCE = 0.9
"""Least relevance of a memory that a finding rests on. No measurement, but a model that has read it says that it
bears on the question; much of it was read in its conversation, and never searched for."""


class Findings:
    """The findings of one search, in the order in which they were reported, each once."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._found: dict[str, Finding] = {}

    def __len__(self) -> int:
        return len(self._found)

    def add(self, reported: Sequence[Reported]) -> int:
        """Take what rests on something that the model was shown. Returns how many were dropped."""
        dropped = 0
        for item in reported:
            finding = self._check(item)
            if finding is None or (finding.text not in self._found and len(self) >= MAX_FINDINGS):
                dropped += 1
            else:
                self._found[finding.text] = finding
        return dropped

    def _check(self, item: Reported) -> Finding | None:
        """The finding with those of its ids that are real, or None when there are none."""
        text = " ".join(item.text.split())[:FINDING_CHARACTERS]
        names = dict.fromkeys([*item.memory_ids, *item.session_ids])  # m1 and s1 tell themselves apart
        passages = [passage for name in names for passage in self._ledger.passages(name)]
        sessions = [session for name in names if (session := self._ledger.session(name)) is not None]
        times = [passage.at for passage in passages]
        if not times:  # when something was said is known better from the messages than from the session
            times = [at for session in sessions for at in (session.since, session.until)]
        if not any(map(str.isalnum, text)) or not times:
            return None
        return Finding(
            text=text,
            messages=tuple(dict.fromkeys(passage.message for passage in passages)),
            sessions=tuple(dict.fromkeys([*(p.session for p in passages), *(s.id for s in sessions)])),
            at=(min(times), max(times)),
        )

    def before(self, recalled: Recalled, options: RecallOptions) -> Recalled:
        """What was recalled, with the findings, and the memories that they rest on ranked first."""
        if not self._found:
            return recalled
        findings = tuple(self._found.values())
        cited = {message for finding in findings for message in finding.messages}
        first = [passage for passage in self._ledger.all_passages if passage.message in cited]
        first = [passage._replace(relevance=max(passage.relevance, CITED_RELEVANCE)) for passage in first]
        return replace(recalled, findings=findings, memories=_joined(first, recalled.memories, options))

    def behind(self, recalled: Recalled, options: RecallOptions) -> Recalled:
        """What was recalled, followed by what the model's searches brought besides: for a search that was cut off."""
        relevant = [p for p in self._ledger.all_passages if p.relevance >= options.memories_threshold]
        return replace(recalled, memories=_joined(recalled.memories, relevant, options))


def _joined(
    first: Sequence[RecalledPassage], then: Sequence[RecalledPassage], options: RecallOptions
) -> tuple[RecalledPassage, ...]:
    by_place: dict[tuple[str, str, int], RecalledPassage] = {}
    for passage in (*first, *then):
        by_place.setdefault((passage.session, passage.message, passage.part), passage)
    return tuple(by_place.values())[: options.max_top_k]


def readable_reports(raw: Any) -> tuple[list[Reported], int]:
    """Those of the reported findings that can be read, and how many cannot."""
    items = raw if isinstance(raw, list) else []
    read: list[Reported] = []
    for item in items:
        try:
            read.append(Reported.model_validate(item))
        except ValueError:
            continue
    return read, len(items) - len(read)
