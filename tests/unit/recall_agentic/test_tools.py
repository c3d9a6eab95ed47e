"""The tools: what they return, how they write it, and what they refuse."""

from __future__ import annotations

import json
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from recallr_litellm.core.messages import Role
from recallr_litellm.core.owner import Owner
from recallr_litellm.recall.agentic.citations import CitationRegistry
from recallr_litellm.recall.agentic.tools import Toolbox
from tests.unit.recall_agentic.kit import BERLIN, DAY, MARA, START, Store, tokens

pytestmark = pytest.mark.asyncio(loop_scope="module")


def box(store: Store, zone: ZoneInfo = BERLIN, exclude: frozenset[str] = frozenset()) -> Toolbox:
    return Toolbox(store.of(MARA, exclude), CitationRegistry(), zone, tokens)


async def run(toolbox: Toolbox, name: str, **arguments: Any) -> Any:
    return json.loads(await toolbox.run(name, arguments))


async def test_days_are_searched_however_much_of_other_days_fits_better(store: Store) -> None:
    busy = Owner("p", "busy")
    await store.remember(busy, "quiet", [("user", "Dinner was fine.")], START)
    said: list[tuple[Role, str]] = [("user", f"Dinner number {n} with Zoe was lovely, lovely.") for n in range(250)]
    await store.remember(busy, "loud", said, START + 2 * DAY)
    for number in range(25):
        await store.remember(busy, f"next-{number}", [("user", "Good morning.")], START + DAY + number * 600_000)
    toolbox = Toolbox(store.of(busy), CitationRegistry(), BERLIN, tokens)
    day = {"from": "2025-03-03", "to": "2025-03-03"}

    memories = await run(toolbox, "search_memories", query="lovely dinner with Zoe", k=3, **day)
    assert [memory["text"] for memory in memories["memories"]] == ["Dinner was fine."]
    summaries = await run(toolbox, "search_summaries", query="lovely dinner with Zoe", **day)
    assert [summary["summary"] for summary in summaries["summaries"]] == ["User: Dinner was fine."]
    listed = await run(toolbox, "list_by_date", **day)
    assert [summary["summary"] for summary in listed["sessions"]] == ["User: Dinner was fine."], (
        "the many sessions of the day after take no room"
    )


async def test_sessions_are_listed_oldest_first_and_can_be_read(store: Store) -> None:
    toolbox = box(store)
    listed = await run(toolbox, "list_by_date", **{"from": "2025-03-01", "to": "2025-03-31"})
    assert [s["summary"].split()[1] for s in listed["sessions"]] == ["We", "I"]
    assert [s["session_id"] for s in listed["sessions"]] == ["s1", "s2"]
    read = await run(toolbox, "read_session", session_id="s2")
    assert [m["said_by"] for m in read["messages"]] == ["user", "assistant", "user"]
    assert read["messages"][1]["cut"] is True, "a long answer shows its beginning"
    assert len(read["messages"][1]["text"]) <= 1200
    around = await run(toolbox, "read_session", session_id="s2", around=read["messages"][2]["id"])
    assert around["messages_before"] == 0
    wrong = await run(toolbox, "read_session", session_id="s1", around=read["messages"][2]["id"])
    assert "error" in wrong, "that message is of another session"


async def test_sessions_that_are_seen_anyway_are_not_there(store: Store) -> None:
    toolbox = box(store, exclude=frozenset({"dog"}))
    listed = await run(toolbox, "list_by_date", **{"from": "2025-03-01", "to": "2025-03-31"})
    assert len(listed["sessions"]) == 1
    found = await run(toolbox, "search_memories", query="greyhound Pascal", k=30)
    assert "Pascal" not in json.dumps(found)
    assert await store.of(MARA, frozenset({"dog"})).messages("dog") == []
    assert await store.of(MARA).messages("dog"), "it is there otherwise"


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("search_memories", {}),
        ("search_memories", {"query": ""}),
        ("search_memories", {"query": "x", "k": -1}),
        ("search_memories", {"query": "x", "k": 10**9}),
        ("search_memories", {"query": "x", "from": "soon"}),
        ("search_memories", {"query": ["x"]}),
        ("read_session", {"session_id": "s1"}),
        ("read_session", {"session_id": "../../etc/passwd"}),
        ("list_by_date", {"from": "2025-01-01"}),
        ("list_by_date", {"from": "2025-02-31", "to": "2025-03-01"}),
        ("forget_everything", {}),
    ],
)
async def test_what_cannot_be_answered_is_refused_with_a_reason(
    store: Store, name: str, arguments: dict[str, Any]
) -> None:
    result = await run(box(store), name, **arguments)
    assert list(result) == ["error"]
    assert result["error"]


@pytest.mark.parametrize("zone", ["UTC", "Pacific/Kiritimati", "Etc/GMT+12"])
async def test_the_ends_of_time_are_no_fault(store: Store, zone: str) -> None:
    listed = await run(box(store, ZoneInfo(zone)), "list_by_date", **{"from": "0001-01-01", "to": "9999-12-31"})
    assert len(listed["sessions"]) == 2
    backwards = await run(box(store, ZoneInfo(zone)), "list_by_date", **{"from": "9999-12-31", "to": "0001-01-01"})
    assert backwards["sessions"] == []


async def test_results_end_when_there_is_no_room(store: Store) -> None:
    toolbox = box(store)
    results = [await run(toolbox, "search_memories", query="hospital room dark", k=30) for _ in range(20)]
    assert "error" in results[-1]
    assert toolbox.exhausted
    assert sum(tokens(json.dumps(result)) for result in results if "memories" in result) < 13_000


async def test_a_search_can_be_kept_to_days_of_the_user(store: Store) -> None:
    def texts(found: Any) -> set[str]:
        return {memory["session_id"] for memory in found["memories"]}

    toolbox = box(store)
    both = await run(toolbox, "search_memories", query="dog, hospital", k=30)
    assert len(texts(both)) == 2
    [of_dog] = texts(await run(toolbox, "search_memories", query="dog, hospital", **{"to": "2025-03-03"}))
    [of_work] = texts(await run(toolbox, "search_memories", query="dog, hospital", **{"from": "2025-03-04", "to": ""}))
    assert of_dog != of_work
    nothing = await run(toolbox, "search_memories", query="dog", **{"from": "2025-03-04", "to": "2025-03-05"})
    assert nothing["memories"] == []
    # 09:00 UTC on the third is still the second for nobody, and already the fourth on no clock but this one's
    early = await run(box(store, ZoneInfo("Etc/GMT+12")), "list_by_date", **{"from": "2025-03-02", "to": "2025-03-02"})
    assert len(early["sessions"]) == 1, "days begin in the user's timezone"
