"""What the tools know of memories: found, connections followed, and reported on."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from recallr_litellm.core.knowledge import ClarifyingQuestion, Conflict, Reason
from recallr_litellm.core.options import RecallOptions
from recallr_litellm.core.owner import Owner
from recallr_litellm.core.records import Memory
from recallr_litellm.recall.agentic.arguments import Reported
from recallr_litellm.recall.agentic.citations import CitationRegistry
from recallr_litellm.recall.agentic.findings import Findings
from recallr_litellm.recall.agentic.tools import Toolbox
from tests.unit.recall_agentic.kit import BERLIN, DAY, START, Store, name, tokens

pytestmark = pytest.mark.asyncio(loop_scope="module")

NILS, OLGA = Owner("p", "nils"), Owner("p", "olga")


def known(number: int, content: str, *connected: int, session: str = "boat", **more: Any) -> Memory:
    return Memory(
        id=name(number),
        content=content,
        created_at=START,
        session=session,
        connected=tuple(map(name, connected)),
        **more,
    )


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def boats(store: Store) -> AsyncIterator[Store]:
    await store.remember(NILS, "boat", [("user", "The keel leaks, I will have it mended in Kiel.")], START)
    await store.remember(NILS, "seen", [("user", "Nothing new.")], START)
    await store.know(
        NILS,
        known(1, "Nils owns a sailing boat called Marlin.", 2, 3, 4, sources=("boat-0",)),
        known(2, "The shipyard in Kiel mends the keel.", 5, event_start=START + 60 * DAY, event_end=START + 63 * DAY),
        known(3, "Nils learned to sail from his aunt.", session="seen"),
        known(5, "The shipyard asks 900 euros."),
    )
    await store.know(
        OLGA, known(4, "Olga's secret is a motor boat called Orca."), known(1, "Olga owns a sailing boat.")
    )
    yield store


def box(store: Store, owner: Owner = NILS) -> Toolbox:
    return Toolbox(store.of(owner, frozenset({"seen"})), CitationRegistry(), BERLIN, tokens)


async def run(toolbox: Toolbox, tool: str, **arguments: Any) -> Any:
    return json.loads(await toolbox.run(tool, arguments))


async def test_facts_are_found_among_the_passages_with_what_they_hang_together_with(boats: Store) -> None:
    found = await run(box(boats), "search_memories", query="sailing boat Marlin", k=1)
    [fact] = found["memories"]
    assert fact["fact"] == "Nils owns a sailing boat called Marlin."
    assert (fact["id"], fact["session_id"], fact["told"]) == ("f2", "s1", "Mon 3 Mar 2025 10:00")
    [connected] = fact["connected"]
    assert connected["fact"] == "The shipyard in Kiel mends the keel."
    assert connected["event"] == "Fri 2 May 2025 – Mon 5 May 2025"


async def test_a_fact_is_of_the_time_of_its_event_too(boats: Store) -> None:
    async def facts(since: str, until: str) -> set[str]:
        found = await run(box(boats), "search_memories", query="shipyard keel", k=30, **{"from": since, "to": until})
        return {item["fact"] for item in found["memories"] if "fact" in item}

    assert await facts("2025-05-03", "2025-05-03") == {"The shipyard in Kiel mends the keel."}
    assert await facts("2025-06-01", "2025-07-01") == set()
    assert len(await facts("2025-03-03", "2025-03-03")) > 1, "all were told then"


async def test_connections_are_followed_and_stay_within_the_owner_and_what_may_be_seen(boats: Store) -> None:
    toolbox = box(boats)
    found = await run(toolbox, "search_memories", query="sailing boat Marlin", k=1)
    boat = found["memories"][0]
    first = await run(toolbox, "follow_connections", id=boat["id"])
    assert [fact["fact"] for fact in first["connected"]] == ["The shipyard in Kiel mends the keel."], (
        "the third is of a session that the model sees anyway, the fourth is another user's"
    )
    further = await run(toolbox, "follow_connections", id=first["connected"][0]["id"])
    assert [fact["fact"] for fact in further["connected"]] == ["The shipyard asks 900 euros."]
    end = await run(toolbox, "follow_connections", id=further["connected"][0]["id"])
    assert end["connected"] == []
    assert await boats.of(NILS).connected(name(4)) == []


@pytest.mark.parametrize("id", ["f1", "m1", name(1), name(4), ""])
async def test_connections_of_what_no_tool_has_returned_are_refused(boats: Store, id: str) -> None:
    assert list(await run(box(boats), "follow_connections", id=id)) == ["error"]


async def test_a_finding_may_rest_on_a_fact_which_is_then_ranked_first(boats: Store) -> None:
    citations = CitationRegistry()
    toolbox = Toolbox(boats.of(NILS), citations, BERLIN, tokens)
    shown = await run(toolbox, "search_memories", query="shipyard asks euros", k=1)
    findings = Findings(citations)
    [id] = [item["id"] for item in shown["memories"]]
    reported = [
        Reported(text="It costs 900 euros.", memory_ids=[id, "f99"]),
        Reported(text="Made up.", memory_ids=["f99", name(5)]),
    ]
    assert findings.add(reported) == 1, "an id that no tool has returned carries nothing"

    recalled = await boats.of(NILS).search("sailing boat Marlin", 3)
    result = findings.before(recalled, RecallOptions())

    [finding] = result.findings
    assert (finding.memories, finding.messages, finding.sessions) == ((name(5),), (), ("boat",))
    assert finding.at == (START, START)
    assert result.memories[0].id == name(5)
    assert result.memories[0].relevance >= 0.9
    assert {fact.id for fact in recalled.memories} <= {fact.id for fact in result.memories}
    one = findings.before(recalled, RecallOptions(min_top_k=0, max_top_k=1))
    assert (len(one.memories), one.passages) == (1, ()), "facts and passages share the places"


async def test_another_user_finds_none_of_it(boats: Store) -> None:
    found = await run(box(boats, OLGA), "search_memories", query="sailing boat Marlin, shipyard in Kiel", k=30)
    assert {item["fact"] for item in found["memories"]} == {
        "Olga owns a sailing boat.",
        "Olga's secret is a motor boat called Orca.",
    }


async def test_the_model_is_told_what_was_before_a_fact_and_what_disputes_it(store: Store) -> None:
    rosa, may = Owner("p", "rosa"), START + 60 * DAY
    home, dose = known(11, "Rosa lives in Rome."), known(12, "Rosa takes 10 mg.", conflict=name(13))
    await store.know(
        rosa,
        home.model_copy(update={"reason": Reason.CHANGE, "created_at": may}),
        known(10, "Rosa lives in Porto.", chain=name(11), expired_at=may, expiration_reason=Reason.CHANGE),
        dose,
    )
    question = ClarifyingQuestion(question="How much is it?", options=("10 mg", "20 mg"))
    await store.vectors.put_conflict(
        rosa,
        Conflict(
            id=name(13),
            memory=dose.id,
            proposed=name(14),
            content="Rosa takes 20 mg.",
            questions=(question,),
            session="boat",
            created_at=may,
        ),
    )

    async def facts(query: str) -> dict[str, Any]:
        found = await run(box(store, rosa), "search_memories", query=query, k=30)
        return {item["fact"]: item for item in found["memories"]}

    now = await facts("home of Rosa")
    assert now["Rosa lives in Rome."]["before"] == [{"fact": "Rosa lives in Porto.", "true_until": "Fri 2 May 2025"}]
    assert now["Rosa takes 10 mg."]["disputed"] == "Rosa takes 20 mg. How much is it? (10 mg / 20 mg)"
    assert "Rosa lives in Porto." not in now
    past = await facts("former home of Rosa")
    assert past["Rosa lives in Porto."]["true_until"] == "Fri 2 May 2025"
    assert "before" not in past["Rosa lives in Rome."], "what is found itself is not repeated"
