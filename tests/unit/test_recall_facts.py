"""Memories in the embedded store, recalled with the passages around them by the bundled model."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest
import pytest_asyncio

from recallr_litellm.core.options import RecallOptions, Strategy
from recallr_litellm.core.recalled import Recalled, RecalledMemory
from recallr_litellm.core.records import Memory
from recallr_litellm.recall import Recall
from tests.benchmarks.conversations import Conversation
from tests.unit.recall_kit import NOW, chat, remembering

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.parametrize("strategy", [Strategy.LOW_LATENCY, Strategy.BALANCED]),
]


def ms(*day: int) -> int:
    return int(datetime(*day, tzinfo=UTC).timestamp() * 1000)


def known(id: str, content: str, session: str, *connected: str, **more: Any) -> Memory:
    told = more.pop("created_at", ms(2025, 2, 10))
    return Memory(
        id=id * 32,
        content=content,
        session=session,
        created_at=told,
        connected=tuple(one * 32 for one in connected),
        **more,
    )


SESSIONS = (
    chat(
        "trip",
        (2025, 2, 10),
        "We are off to Iceland with the tent, the whole family, for the midsummer week.",
        "Take warm sleeping bags, nights are cold there.",
        "My passport runs out in August, so I must renew it.",
        "Do that before you book.",
    ),
    chat("later", (2025, 3, 5), "I play the trombone in a brass band on Tuesdays.", "Nice, which music do you play?"),
)
VERA = Conversation(
    "vera",
    SESSIONS,
    (),
    (
        known("a", "The user goes camping in Iceland.", "trip", "b", "c", "f", sources=("trip:0",)),
        known("b", "The user bought the tent second-hand.", "trip", "d"),
        known("c", "The car has a roof box.", "later"),
        known("d", "The seller of it lives in Hull.", "trip"),
        known("e", "The user repaired the heating.", "later", event_start=ms(2024, 11, 2), created_at=ms(2025, 3, 5)),
        known("9", "The user repaired the heating again.", "later", event_start=ms(2025, 5, 4)),
    ),
)
TWIN = Conversation(
    "twin",
    SESSIONS,
    (),
    (
        known("a", "The twin goes camping in Iceland with a secret.", "trip"),
        known("f", "The secret of the twin.", "trip"),
    ),
)


@dataclass
class Asking:
    recall: Recall

    async def __call__(
        self, of: Conversation, question: str, strategy: Strategy, exclude: frozenset[str] = frozenset(), **more: Any
    ) -> Recalled:
        options = RecallOptions(**{"strategy": strategy, "memories_threshold": 0.0, **more})
        return await self.recall(of.owner, question, options, exclude_sessions=exclude, now=NOW)


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def ask(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Asking]:
    async with remembering(tmp_path_factory.mktemp("data"), VERA, TWIN) as recall:
        yield Asking(recall)


def every(facts: tuple[RecalledMemory, ...]) -> list[RecalledMemory]:
    return [one for fact in facts for one in (fact, *every(fact.connected))]


async def test_a_fact_is_recalled_beside_what_was_said(ask: Asking, strategy: Strategy) -> None:
    found = await ask(VERA, "Where does the user go camping?", strategy)
    best = found.memories[0]
    assert (best.id, best.session, best.sources) == ("a" * 32, "trip", ("trip:0",))
    assert best.text == "The user goes camping in Iceland."
    assert best.relevance > 0.7
    assert "trip:0" in [p.message for p in found.passages], "what it rests on stays: it says more, or in other words"
    assert "trip:2" in [p.message for p in found.passages]


async def test_of_two_like_facts_the_one_of_the_time_in_question(ask: Asking, strategy: Strategy) -> None:
    for when, id in (("in November 2024", "e"), ("in May", "9")):
        found = await ask(VERA, f"What did the user repair {when}?", strategy)
        assert found.memories[0].id == id * 32, when


async def test_connected_facts_are_shown_by_balanced_only(ask: Asking, strategy: Strategy) -> None:
    found = await ask(VERA, "Where does the user go camping?", strategy, min_top_k=1, max_top_k=1)
    below = {one.id[0] for one in every(found.memories)} - {"a"}
    assert below == ({"b", "c", "d"} if strategy is Strategy.BALANCED else set())


async def test_connections_lead_to_nobody_else_and_to_no_session_that_is_seen_anyway(
    ask: Asking, strategy: Strategy
) -> None:
    found = await ask(VERA, "Where does the user go camping?", strategy, frozenset({"later"}), min_top_k=1, max_top_k=1)
    assert "secret" not in str(found), "the id of another user's memory is that of none"
    assert {one.session for one in every(found.memories)} == {"trip"}


async def test_users_with_the_same_ids_never_meet(ask: Asking, strategy: Strategy) -> None:
    question = "Who goes camping in Iceland with a secret?"
    assert "twin" not in str(await ask(VERA, question, strategy))
    assert {one.text for one in every((await ask(TWIN, question, strategy)).memories)} == {
        memory.content for memory in TWIN.memories
    }
