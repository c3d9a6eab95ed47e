"""Questions about a time, on small written memories in the embedded store."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
import pytest_asyncio

from recallr_litellm.core.options import RecallOptions, Strategy
from recallr_litellm.recall import Recall
from tests.benchmarks.conversations import Conversation
from tests.unit.recall_kit import chat, remembering

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.parametrize("strategy", [Strategy.LOW_LATENCY, Strategy.BALANCED]),
]
ASKED = datetime(2025, 9, 1, 12, tzinfo=UTC)
LANG, OTTO = "Mrs Lang called about the lease.", "Mr Otto called about the car."
CALLS = Conversation("calls", (chat("march", (2025, 3, 5), LANG), chat("may", (2025, 5, 3), OTTO)), ())
DAY_FIRST = Conversation(
    "day first",
    (*CALLS.sessions, chat("bill", (2025, 3, 26), "I paid the bill of the phone on 25/03/2025.")),
    (),
)
_DISHES = "soup|risotto|curry|goulash|lasagne|pancakes".split("|")
RECIPES = [
    chat(
        f"recipes {day}",
        (2025, 6, day),
        *(
            f"The {dish} of that day: what happened is that I fried it for {n} minutes."
            for n, dish in enumerate(_DISHES, day)
        ),
    )
    for day in range(8, 18)
]
BOILER = "On 12 June the boiler broke down and flooded the cellar."
HOUSE = Conversation(
    "house",
    (
        *RECIPES,
        chat("boiler", (2025, 7, 8), BOILER),
        chat("visit", (2025, 5, 5), "Yesterday the chimney sweep found a nest of jackdaws.", "Oh dear.", "It moved."),
        chat("zahnarzt", (2025, 8, 11), "Letzten Freitag wurde mir ein Weisheitszahn gezogen."),
        chat("vacances", (2025, 8, 20), "Le 14 juillet nous avons perdu le chien pendant le feu d'artifice."),
        chat("exam", (2025, 8, 25), "My driving test is on 3 October at the centre in Leith."),
    ),
    (),
)


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def recall(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Recall]:
    async with remembering(tmp_path_factory.mktemp("data"), CALLS, DAY_FIRST, HOUSE) as recall:
        yield recall


async def ask(
    recall: Recall, of: Conversation, question: str, strategy: Strategy, zone: str, now: datetime = ASKED
) -> list[str]:
    options = replace(RecallOptions(strategy=strategy, memories_threshold=0.0), timezone=ZoneInfo(zone))
    found = await recall(of.owner, question, options, exclude_sessions=frozenset(), now=now)
    return [passage.text for passage in found.passages]


@pytest.mark.parametrize(
    ("question", "zone", "first"),
    [
        ("Who called on 05.03.2025?", "Europe/Berlin", LANG),
        ("Who called on 05/03/2025?", "Europe/Berlin", LANG),
        ("Wer hat am 05.03.2025 angerufen?", "Europe/Berlin", LANG),
        ("Wer hat am 5. März angerufen?", "UTC", LANG),
        ("Who called on 05/03/2025?", "America/Chicago", OTTO),
        ("Quién llamó el 3 de mayo de 2025?", "UTC", OTTO),
        ("Who called on 03.05.2025?", "America/Chicago", OTTO),
        ("Who called on 05/03/2025?", "Europe/London", LANG),
    ],
)
async def test_dates_are_read_as_the_user_writes_them(
    recall: Recall, strategy: Strategy, question: str, zone: str, first: str
) -> None:
    assert (await ask(recall, CALLS, question, strategy, zone))[0] == first


async def test_where_nothing_says_how_a_date_is_read_both_are_shown(recall: Recall, strategy: Strategy) -> None:
    assert set((await ask(recall, CALLS, "Who called on 05/03/2025?", strategy, "UTC"))[:2]) == {LANG, OTTO}


async def test_other_dates_of_the_user_say_how_a_date_is_read(recall: Recall, strategy: Strategy) -> None:
    assert (await ask(recall, DAY_FIRST, "Who called on 05/03/2025?", strategy, "UTC"))[0] == LANG


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("What happened on 12 June?", "boiler"),
        ("Was war am 12. Juni?", "boiler"),
        ("What happened on 4 May 2025?", "chimney"),
        ("Qu'est-ce qui s'est passé le 4 mai ?", "chimney"),
        ("What happened on 8 August?", "Weisheitszahn"),
        ("O que aconteceu em 14 de julho?", "chien"),
        ("What is planned on 3 October?", "driving"),
        ("Cosa c'è il 3 ottobre?", "driving"),
    ],
)
async def test_a_date_written_in_a_message_counts_like_the_day_it_was_said(
    recall: Recall, strategy: Strategy, question: str, expected: str
) -> None:
    shown = await ask(recall, HOUSE, question, strategy, "UTC")
    assert any(expected in text for text in shown[:3]), shown[:3]
