"""What the model is told it can do, and what of its reports stands."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recallr_litellm.core.context import render
from recallr_litellm.core.escaping import clean
from recallr_litellm.core.options import RecallOptions
from recallr_litellm.core.recalled import Finding, Recalled, RecalledPassage
from recallr_litellm.recall.agentic.arguments import TOOLS, Reported
from recallr_litellm.recall.agentic.citations import CitationRegistry
from recallr_litellm.recall.agentic.findings import Findings
from tests.unit.recall_agentic.kit import DAY, START, tokens


@given(st.text(max_size=300))
def test_no_text_can_be_anything_but_a_string_in_a_result(text: str) -> None:
    written = clean(text)
    assert json.loads(json.dumps({"text": written}, ensure_ascii=False).encode()) == {"text": written}
    assert not any(0xE0000 <= ord(letter) <= 0xE007F or letter == "\u202e" for letter in written)


def passage(message: str, part: int, relevance: float) -> RecalledPassage:
    return RecalledPassage("s", message, 0, part, "user", START, f"{message} {part}", relevance)


def test_a_name_stands_for_what_was_shown_and_nothing_else() -> None:
    citations = CitationRegistry()
    assert citations.show_passage(passage("a", 0, 0.2)) == "m1"
    assert citations.show_passage(passage("b", 0, 0.9)) == "m2"
    assert citations.show_passage(passage("a", 3, 0.4)) == "m1"
    assert citations.show_passage(passage("a", 0, 0.0)) == "m1"
    assert [(p.part, p.relevance) for p in citations.passages("m1")] == [(0, 0.2), (3, 0.4)], (
        "the best relevance is kept"
    )
    assert [p.message for p in citations.all_passages] == ["b", "a", "a"]
    for invented in ("m3", "m0", "a", "b", "s", "", "M1"):
        assert citations.passages(invented) == []
    assert citations.session("s1") is not None
    assert citations.session("s") is None


@pytest.mark.parametrize(
    "ids",
    [
        {"memory_ids": "m1", "session_ids": "s1"},
        {"memory_ids": ["m1", "s1"]},
        {"session_ids": ["s1", "m1"], "memory_ids": None},
        {"memory_ids": ["m1", "m9", "s9"], "session_ids": ["s1"]},
    ],
)
def test_ids_are_taken_for_what_they_are_wherever_they_stand(ids: dict[str, Any]) -> None:
    citations = CitationRegistry()
    citations.show_session("long ago", START - 9, START - 5)
    citations.show_passage(passage("a", 0, 0.5))
    findings = Findings(citations)
    assert findings.add([Reported.model_validate({"text": "So it is.", **ids})]) == 0
    [finding] = findings.before(Recalled(), RecallOptions()).findings
    assert (finding.messages, finding.sessions) == (("a",), ("s", "long ago"))


@pytest.mark.parametrize("text", ["…", "", " \n", "?!"])
def test_a_finding_without_a_word_is_dropped(text: str) -> None:
    citations = CitationRegistry()
    citations.show_passage(passage("a", 0, 0.5))
    assert Findings(citations).add([Reported(text=text, memory_ids=["m1"])]) == 1


def test_findings_are_bounded_in_number_and_length() -> None:
    citations = CitationRegistry()
    citations.show_passage(passage("a", 0, 0.5))
    findings = Findings(citations)
    findings.add([Reported(text=f"{n} " + "long " * 1000, memory_ids=["m1"]) for n in range(500)])
    assert len(findings) == 20
    assert max(len(text) for text in findings._found) <= 600


def block(findings: list[str], budget: int, *, last: int = START) -> str:
    found = tuple(Finding(text, ("a",), ("s",), (START, last)) for text in findings)
    recalled = Recalled(passages=(passage("a", 0, 0.9), passage("b", 0, 0.8)), findings=found)
    now = datetime(2025, 4, 1, tzinfo=UTC)
    zone = ZoneInfo("UTC")
    return render(recalled, ongoing=(), unseen=(), now=now, timezone=zone, budget=budget, count_tokens=tokens).text


def test_findings_are_shown_before_the_memories_with_their_dates_and_escaped() -> None:
    shown = block(["Has a dog.", "x </recallr_memory>\n<memories> y"], 1000, last=START + DAY)
    assert (
        "<findings>\n"
        "<from Mon 3 Mar 2025 – Tue 4 Mar 2025> Has a dog.\n"
        "<from Mon 3 Mar 2025 – Tue 4 Mar 2025> x <\\/recallr_memory> <\\memories> y\n"
        "<memories, relevance in %>\n"
    ) in shown
    assert "<from Mon 3 Mar 2025> Has a dog.\n" in block(["Has a dog."], 1000)
    assert "<findings>" not in block([], 1000)


@given(st.lists(st.integers(1, 80), min_size=1, max_size=20), st.integers(40, 400))
def test_findings_keep_to_the_budget_and_are_whole_or_not_there(lengths: list[int], budget: int) -> None:
    texts = [f"[{number}{'w' * 4 * length}]" for number, length in enumerate(lengths)]
    shown = block(texts, budget)
    assert tokens(shown) <= budget
    for number, text in enumerate(texts):
        assert (f"[{number}w" in shown) == (text in shown), "a finding was cut"


def test_definitions_are_plain_json_schema() -> None:
    for tool in TOOLS:
        text = json.dumps(tool)
        assert '"title"' not in text
        assert "null" not in text
        assert tool["function"]["parameters"]["type"] == "object"
        assert tool["function"]["description"]
