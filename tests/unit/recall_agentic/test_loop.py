"""The search by a model: how it goes, what bounds it, and what it leaves when it ends early."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from typing import Any

import pytest

from recallr_litellm.core.messages import Message
from recallr_litellm.core.options import RecallOptions
from recallr_litellm.core.recalled import Recalled
from recallr_litellm.errors import ModelUnavailable
from recallr_litellm.recall.agentic import (
    Agent,
    Completion,
    OwnedMemory,
    Progress,
    ResearchQuestion,
)
from recallr_litellm.recall.agentic.loop import MAX_CALLS, MAX_STEPS
from tests.unit.recall_agentic.kit import (
    BERLIN,
    MARA,
    OTTO,
    Scripted,
    Step,
    Store,
    calls,
    question,
    report,
    says,
    tokens,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")

PASCAL = {"text": "The greyhound is called Pascal.", "memory_ids": ["m1"]}
SEARCH = ("search_memories", {"query": "dog"})
AMPLE = 30.0
"""Seconds; no test waits for them."""


async def balanced(store: Store, asked: ResearchQuestion, options: RecallOptions = RecallOptions()) -> Recalled:  # noqa: B008
    return await store.recall(MARA, asked.text, options, exclude_sessions=frozenset())


async def search(
    store: Store,
    *steps: Step,
    asked: ResearchQuestion | None = None,
    options: RecallOptions = RecallOptions(),  # noqa: B008 - frozen
    memory: OwnedMemory | None = None,
    seconds: float = AMPLE,
) -> tuple[Scripted, Recalled, list[Progress]]:
    """Let a scripted model search. Returns it, what it began with, and what there was to hear of it."""
    model, asked = Scripted(list(steps)), asked or question()
    begun = await balanced(store, asked, options)
    agent = Agent(model, count_tokens=tokens)
    until = asyncio.get_running_loop().time() + seconds
    events = [event async for event in agent(memory or store.of(MARA), asked, begun, options, until=until, spend=_free)]
    assert [event.finished for event in events] == [False] * (len(events) - 1) + [True], "the last says that it is over"
    return model, begun, events


def finished(events: list[Progress]) -> Progress:
    return events[-1]


async def _free(_tokens: int) -> None:
    return


async def hang() -> Any:
    await asyncio.Event().wait()


async def test_a_report_comes_first_with_what_it_rests_on(store: Store) -> None:
    asked = question("What have I told you about animals?")
    _, begun, events = await search(
        store, calls(("search_memories", {"query": "greyhound Pascal", "k": 3})), report(PASCAL), asked=asked
    )
    end = finished(events)
    assert end.fault is None
    [finding] = end.recalled.findings
    assert finding.text == "The greyhound is called Pascal."
    assert end.recalled.passages[0].message in finding.messages, "what it rests on is ranked first"
    assert end.recalled.passages[0].relevance >= 0.9
    assert {p.message for p in end.recalled.passages} >= {p.message for p in begun.passages}
    assert end.recalled.summaries == begun.summaries


async def test_the_model_is_told_the_question_its_time_and_what_was_said_before(store: Store) -> None:
    earlier = (Message(role="user", text="About my pets."), Message(role="tool", text="noise", tool_call_id="1"))
    model, begun, _ = await search(store, report(), asked=question("And x" + "y" * 50_000 + "z", earlier=earlier))
    opening = json.loads(model.asked[0][1]["content"])
    assert opening["now"] == "Tue 1 Apr 2025 14:00"
    assert opening["timezone"] == "Europe/Berlin"
    assert opening["conversation"] == [{"said_by": "user", "text": "About my pets."}]
    assert opening["last_message"].startswith("And x")
    assert opening["last_message"].endswith("yz")
    assert sum(tokens(json.dumps(message)) for message in model.asked[0]) < 6000, "a pasted book is not handed on whole"
    assert model.results(0)[0]["memories"][0]["text"] == begun.passages[0].text, "the first result is the balanced one"


async def test_findings_without_a_ground_are_dropped_and_the_model_may_mend_its_report(store: Store) -> None:
    lies = [{"text": "Lies.", "memory_ids": ["m99", "dog-0"], "session_ids": ["dog", "otto"]}, {"text": "No ids."}]
    model, _, events = await search(store, report(*lies), report({"text": "True.", "session_ids": ["s1", "s77"]}))
    assert "dropped" in model.results()[-1]["error"]
    end = finished(events)
    assert end.fault is None
    assert [(f.text, f.messages) for f in end.recalled.findings] == [("True.", ())]
    assert end.recalled.findings[0].sessions in (("dog",), ("work",))


@pytest.mark.parametrize("raw", [None, "none", 7, [7], [{"memory_ids": ["m1"]}], [{"text": 5, "memory_ids": ["m1"]}]])
async def test_a_report_that_cannot_be_read_is_refused_with_a_reason_and_may_be_mended(store: Store, raw: Any) -> None:
    model, _, events = await search(store, calls(("report_findings", {"findings": raw})), report(PASCAL))
    assert "findings" in model.results()[-1]["error"]
    assert [finding.text for finding in finished(events).recalled.findings] == [PASCAL["text"]]


async def test_steps_are_bounded_and_the_last_can_only_report(store: Store) -> None:
    model, begun, events = await search(store, calls(SEARCH))
    assert len(model.asked) == MAX_STEPS
    assert [len(offered) for offered in model.offered] == [6] * (MAX_STEPS - 1) + [1]
    assert model.offered[-1] == ["report_findings"]
    end = finished(events)
    assert end.fault
    assert end.recalled.passages[: len(begun.passages)] == begun.passages


async def test_calls_of_one_step_are_bounded(store: Store) -> None:
    model, _, _ = await search(store, calls(*[SEARCH] * 50), report())
    results = model.results()[-50:]
    assert not [result for result in results[:MAX_CALLS] if "error" in result]
    assert all("calls at once" in result["error"] for result in results[MAX_CALLS:])


async def test_what_the_model_reads_is_bounded_in_tokens(store: Store) -> None:
    everything = [
        ("search_memories", {"query": "dog hospital room dark", "k": 30}),
        ("read_session", {"session_id": "s1"}),
    ]
    model, _, _ = await search(store, calls(*everything * 4), asked=question("dog and hospital"))
    read = sum(tokens(message["content"]) for message in model.asked[-1] if message["role"] == "tool")
    assert 8_000 < read < 14_000, f"{read} tokens were handed to the model"
    assert model.offered[-1] == ["report_findings"], "with no room left it can only report"
    assert len(model.asked) < MAX_STEPS


async def test_partial_findings_are_used_when_time_is_up(store: Store) -> None:
    _, begun, events = await search(store, report(PASCAL, complete=False), hang, seconds=0.5)
    end = finished(events)
    assert end.fault is None
    assert [finding.text for finding in end.recalled.findings] == [PASCAL["text"]]
    assert events[0].recalled == end.recalled, "after each step there is what could be used if it were the last"
    assert end.recalled != begun


@pytest.mark.parametrize(
    ("steps", "asked"),
    [
        ([hang], 1),
        ([ModelUnavailable("the model failed")], 1),
        ([says("Your dog is called Pascal.")], 2),
        ([says("")], 2),
    ],
    ids=["hangs", "fails", "talks", "says nothing"],
)
async def test_without_findings_what_was_recalled_stays_as_it_was(store: Store, steps: list[Step], asked: int) -> None:
    model, begun, events = await search(store, *steps, seconds=0.3 if steps == [hang] else AMPLE)
    assert len(model.asked) == asked, "one reminder to use the tools, and no more"
    end = finished(events)
    assert end.fault
    assert end.recalled == begun


async def test_a_search_that_was_cut_off_leaves_what_it_has_brought(store: Store) -> None:
    options = RecallOptions(min_top_k=1, memories_threshold=0.3)
    asked = question("Pascal it is!")
    _, begun, events = await search(
        store,
        calls(("search_memories", {"query": "nurse at the hospital"})),
        hang,
        asked=asked,
        options=options,
        seconds=2,
    )
    end = finished(events)
    assert end.fault
    assert end.recalled.passages[: len(begun.passages)] == begun.passages
    more = end.recalled.passages[len(begun.passages) :]
    assert "work-0" in [passage.message for passage in more]
    assert all(passage.relevance >= 0.3 for passage in more), "what is added has to reach the threshold"


async def test_with_little_time_left_the_model_is_asked_to_report(store: Store) -> None:
    async def slow() -> Any:
        await asyncio.sleep(1.0)
        return calls(SEARCH)

    model, _, _ = await search(store, slow, report(PASCAL), seconds=2.8)
    assert model.offered[1] == ["report_findings"], "another two steps like the first would not fit"


@pytest.mark.parametrize(
    "broken",
    [
        says('{"name": "search_memories", "arguments": {"query": "dog"}}'),
        calls(SEARCH, ("search_memories", '{"query": "do')),
        calls(("search_memories", "[1]")),
        calls(("search_memories", "")),
        calls(("search_memories", '```json\n{"query": "greyhound"}\n```')),
    ],
)
async def test_calls_that_cannot_be_read_are_not_sent_back_and_the_model_is_reminded_once(
    store: Store, broken: Completion
) -> None:
    model, _, events = await search(store, broken, report(PASCAL))
    assert model.asked[1][:-1] == model.asked[0], "providers refuse a history with broken arguments"
    assert model.asked[1][-1]["role"] == "user"
    assert finished(events).recalled.findings

    model, begun, events = await search(store, broken)
    assert len(model.asked) == 2
    assert finished(events).fault == "does not use the tools"
    assert finished(events).recalled == begun


async def test_a_call_of_no_tool_has_its_result_too(store: Store) -> None:
    model, _, events = await search(store, calls(("forget", {}), SEARCH), report(PASCAL))
    assert [list(result) for result in model.results()[-2:]] == [["error"], ["memories"]]
    answered = [m["tool_call_id"] for m in model.asked[-1] if m["role"] == "tool"]
    assert answered[-2:] == ["id0", "id1"]
    assert finished(events).recalled.findings


@pytest.mark.parametrize(("day", "session"), [(5, "dog"), (12, "work")])
async def test_times_in_a_query_are_counted_from_when_the_user_asked(store: Store, day: int, session: str) -> None:
    asked = ResearchQuestion("What happened?", datetime(2025, 3, day, 12, 0, tzinfo=UTC), BERLIN)
    model = Scripted([calls(("search_memories", {"query": "What did I say two days ago?", "k": 1})), report()])
    begun, options = await balanced(store, asked), RecallOptions()
    memory = OwnedMemory(store.recall, store.vectors, MARA, options, exclude_sessions=frozenset(), now=asked.now)
    until = asyncio.get_running_loop().time() + AMPLE
    async for _ in Agent(model, count_tokens=tokens)(memory, asked, begun, options, until=until, spend=_free):
        pass
    [found] = model.results()[-1]["memories"]
    assert found["at"].startswith(f"Mon {day - 2} Mar 2025"), f"not what was said in the session {session!r}: {found}"


async def test_a_sound_answer_is_sent_back_as_it_came(store: Store) -> None:
    answer = calls(SEARCH)
    answer.message["thinking_blocks"] = [{"signature": "abc"}]
    model, _, _ = await search(store, answer, report(PASCAL))
    assert answer.message in model.asked[-1], "providers want to see the signatures of their thoughts again"


async def test_nothing_of_another_user_can_be_reached(store: Store) -> None:
    attempts = calls(
        ("search_memories", {"query": "Brutus PIN 4711", "k": 30, "owner": "otto", "user": "otto"}),
        ("search_summaries", {"query": "Brutus PIN 4711"}),
        ("read_session", {"session_id": "otto"}),
        ("read_session", {"session_id": "s1", "around": "otto-0"}),
        ("list_by_date", {"from": "0001-01-01", "to": "9999-12-31"}),
    )
    model, _, _ = await search(store, attempts, report(), asked=question("What is Otto's PIN, 4711?"))
    assert "Brutus" not in json.dumps(model.results())
    assert [list(result) for result in model.results()[-3:-1]] == [["error"]] * 2

    ottos = Scripted([calls(("search_memories", {"query": "PIN"})), report()])
    asked = question("PIN?")
    begun = await store.recall(OTTO, "PIN?", RecallOptions(), exclude_sessions=frozenset())
    until = asyncio.get_running_loop().time() + AMPLE
    agent = Agent(ottos, count_tokens=tokens)
    async for _ in agent(store.of(OTTO), asked, begun, RecallOptions(), until=until, spend=_free):
        pass
    assert "4711" in json.dumps(ottos.results()), "the owner himself finds it with the same tools"
