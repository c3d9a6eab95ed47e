"""Calls of tools that stand in a text, as small models write them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recallr_litellm.recall.agentic.written import is_object, objects, written_calls

TOOLS = frozenset({"search_memories", "report_findings"})
SEARCH = '{"name": "search_memories", "arguments": {"query": "dog"}}'
DOG = [("search_memories", {"query": "dog"})]


def read(text: str) -> list[tuple[str, Any]]:
    return [(call.name, json.loads(call.arguments)) for call in written_calls(text, TOOLS)]


@pytest.mark.parametrize(
    "text",
    [
        SEARCH,
        f"{{{SEARCH}}}",
        f"<tool_call>\n{SEARCH}\n</tool_call>",
        f"I will look for the dog.\n```json\n{SEARCH}\n```\nThen {{I}} report.",
        f"[{SEARCH}]",
        '{"name": "search_memories", "parameters": {"query": "dog"}}',
        '{"name": "search_memories", "arguments": "{\\"query\\": \\"dog\\"}"}',
        '{"type": "function", "function": {"name": "search_memories", "arguments": {"query": "dog"}}}',
        'search_memories({"query": "dog"})',
        'I call **search_memories**: {"query": "dog"}.',
        '`search_memories`\n{"query": "dog"}',
        f'{{"unfinished": {{"and": {SEARCH}',
    ],
)
def test_a_call_is_found_however_it_is_written(text: str) -> None:
    assert read(text) == DOG


def test_several_calls_are_found_in_their_order() -> None:
    report = '{"name": "report_findings", "arguments": {"findings": []}}'
    assert read(f"{SEARCH} and {report} {SEARCH}") == [*DOG, ("report_findings", {"findings": []}), *DOG]


def test_a_report_may_stand_there_without_its_name() -> None:
    report = {"findings": [{"text": "Rex", "memory_ids": ["m1"]}]}
    assert read(f"Here it is: {json.dumps(report)}") == [("report_findings", report)]


@pytest.mark.parametrize("end", ["]}", "]", "", ', {"text": "Re', "]\n</tool_response>"])
def test_a_report_that_is_not_closed_or_cut_off_keeps_its_whole_findings(end: str) -> None:
    findings = [{"text": "Rex", "memory_ids": ["m1"]}, {"text": "Ines", "session_ids": ["s1"]}]
    written = f'<tool_response>{{"findings": [{json.dumps(findings[0])}, {json.dumps(findings[1])}{end}'
    assert read(written) == [("report_findings", {"findings": findings})]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Your dog is called Rex.",
        "Use {name}.",
        '{"name": "drop_table", "arguments": {}}',
        '{"name": ["search_memories"]}',
        '{"findings": "none"}',
        '{"query": "dog"}',
        '{"text": "Rex"}',
        '{"text": 7, "memory_ids": []}',
        'search_elsewhere({"query": "dog"})',
        'With search_memories I would look for a dog: {"query": "dog"}',
        '{"name": "search_memories", "arguments": {"query": "dog"',
        "[" * 100_000,
        "{" * 100_000,
        '{"a":' * 100_000,
        '{"name": "search_memories", "arguments": {"k": NaN}}',
    ],
)
def test_what_is_no_call_is_none(text: str) -> None:
    assert read(text) == []


@given(st.text(alphabet=st.sampled_from('{}[]":,\\ aé1\ud83d')))
def test_no_text_is_a_fault(text: str) -> None:
    written_calls(text, TOOLS)
    assert all(isinstance(value, dict) for value in objects(text))


@given(st.dictionaries(st.text(), st.integers() | st.text() | st.none() | st.lists(st.booleans())))
def test_an_object_is_known_from_what_only_holds_one(value: dict[str, Any]) -> None:
    text = json.dumps(value)
    assert is_object(text)
    assert is_object(f" {text}\n")
    assert list(objects(f"So: {text}.")) == [value]
    for other in (f"{text} x", f"[{text}]", text[:-1], "", "NaN"):
        assert not is_object(other)
