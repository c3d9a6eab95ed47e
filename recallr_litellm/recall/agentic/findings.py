"""What the model reports: checked against what it was shown, and put in front of what was recalled."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import islice

from recallr_litellm.core.options import RecallOptions
from recallr_litellm.core.recalled import Finding, Recalled, RecalledMemory, Remembered, by_kind, ranked
from recallr_litellm.recall.agentic.arguments import Reported
from recallr_litellm.recall.agentic.citations import CitationRegistry

MAX_FINDINGS = 20
"""Findings of one search; the rest is dropped."""
FINDING_CHARACTERS = 600
"""Most of a finding's text; what is longer is cut."""
CITED_RELEVANCE = 0.9
"""Least relevance of a passage or memory that a finding rests on. No measurement, but a model that has read it says
that it bears on the question; much of it was read in its conversation, and never searched for."""


class Findings:
    """The findings of one search, in the order in which they were reported, each once."""

    def __init__(self, citations: CitationRegistry) -> None:
        self._citations = citations
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
        names = dict.fromkeys([*item.memory_ids, *item.session_ids])  # m1, f1 and s1 tell themselves apart
        passages = [passage for name in names for passage in self._citations.passages(name)]
        memories = [memory for name in names if (memory := self._citations.memory(name)) is not None]
        sessions = [session for name in names if (session := self._citations.session(name)) is not None]
        told: list[Remembered] = [*passages, *memories]
        times = [one.at for one in told]
        if not times:  # when something was said is known better from the messages than from the session
            times = [at for session in sessions for at in (session.since, session.until)]
        if not any(map(str.isalnum, text)) or not times:
            return None
        return Finding(
            text=text,
            messages=tuple(dict.fromkeys(passage.message for passage in passages)),
            sessions=tuple(dict.fromkeys([*(one.session for one in told), *(s.id for s in sessions)])),
            at=(min(times), max(times)),
            memories=tuple(memory.id for memory in memories),
        )

    def before(self, recalled: Recalled, options: RecallOptions) -> Recalled:
        """What was recalled, with the findings, and the memories that they rest on ranked first."""
        if not self._found:
            return recalled
        findings = tuple(self._found.values())
        cited = {message for finding in findings for message in finding.messages}
        known = {memory for finding in findings for memory in finding.memories}
        passages = [p for p in self._citations.all_passages if p.message in cited]
        memories = [m for m in self._citations.all_memories if m.id in known]
        first = (one._replace(relevance=max(one.relevance, CITED_RELEVANCE)) for one in ranked(memories, passages))
        recalled = _with(recalled, [*first, *ranked(recalled.memories, recalled.passages)], options)
        return replace(recalled, findings=findings)

    def behind(self, recalled: Recalled, options: RecallOptions) -> Recalled:
        """What was recalled, followed by what the model's searches brought besides: for a search that was cut off."""
        brought = ranked(self._citations.all_memories, self._citations.all_passages)
        relevant = (one for one in brought if one.relevance >= options.memories_threshold)
        return _with(recalled, [*ranked(recalled.memories, recalled.passages), *relevant], options)


def _with(recalled: Recalled, ranked: Iterable[Remembered], options: RecallOptions) -> Recalled:
    """What was recalled, but with these passages and memories, each once, as many as the request wants."""
    by_place: dict[tuple[str | int, ...], Remembered] = {}
    for one in ranked:
        place = (one.id,) if isinstance(one, RecalledMemory) else (one.session, one.message, one.part)
        by_place.setdefault(place, one)
    passages, memories = by_kind(islice(by_place.values(), options.max_top_k))
    return replace(recalled, passages=passages, memories=memories)
