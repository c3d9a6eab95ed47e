"""What recall understands of a question, each idea on a small written memory, in the embedded store."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import pytest_asyncio

from recallr_litellm.core.options import RecallOptions, Strategy
from recallr_litellm.core.recalled import Recalled
from recallr_litellm.recall import Recall
from tests.benchmarks.conversations import Conversation
from tests.unit.recall_kit import NOW, chat, remembering

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.parametrize("strategy", [Strategy.LOW_LATENCY, Strategy.BALANCED]),
]


NORA = Conversation(
    "nora",
    (
        chat(
            "garden",
            (2025, 2, 10),
            "I want to repaint the kitchen. What would go with oak?",
            "Sage green goes well with oak. Take an eggshell finish, since it can be wiped.",
            "Good morning, everyone!",
            "Good morning! What can I do for you?",
        ),
        chat(
            "meeting",
            (2025, 3, 5),
            "I had a meeting with the bank about the loan, they want three payslips.",
            "Then collect the payslips of January, February and March.",
            "good morning everyone",
            "Good morning! What is it today?",
        ),
        chat(
            "second meeting",
            (2025, 6, 12),
            "I had a meeting with the bank about the loan, they agreed to everything.",
            "Splendid! Read the small print before you sign.",
            "My brother Emil is visiting in August, he eats no meat. I weigh 84 kg.",
            "I will keep it in mind for the menus.",
        ),
        chat(
            "flat",
            (2025, 6, 20),
            "At which time does the gym in our street open on Sundays, did I tell you?",
            "At half past seven.",
            "I weigh 79 kg.",
            "Well done!",
        ),
    ),
    (),
)

_LINES = [
    f"{name}: {text}"
    for name, text in zip(
        ["Ada", "Bo"] * 10,
        (
            "I planted two apple trees behind the shed.|I planted roses along the fence.|I bought a red bicycle."
            "|I bought an old piano.|The choir sings on Fridays.|My band plays jazz.|I work as a midwife."
            "|I work as a roofer.|My son learns the cello.|My daughter learns to skate.|I fear spiders."
            "|I fear flying.|I want to see Japan.|I want to see Peru.|My car broke down.|My boat leaks."
            "|I baked rye bread.|I cooked goulash.|I quit smoking.|I quit my club."
        ).split("|"),
        strict=True,
    )
]
EXPORT = Conversation("export", (chat("export", (2025, 5, 1), *_LINES),), ())


@dataclass
class Asking:
    recall: Recall

    async def __call__(self, of: Conversation, question: str, strategy: Strategy, **more: Any) -> Recalled:
        previous = more.pop("previous", "")
        options = replace(RecallOptions(strategy=strategy, memories_threshold=0.0), **more)
        return await self.recall(of.owner, question, options, exclude_sessions=frozenset(), previous=previous, now=NOW)


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def ask(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Asking]:
    async with remembering(tmp_path_factory.mktemp("data"), NORA, EXPORT) as recall:
        yield Asking(recall)


def first(found: Recalled) -> str:
    return found.passages[0].message


@pytest.mark.parametrize(
    ("when", "session"),
    [("in March", "meeting"), ("last month", "second meeting"), ("on 5 March 2025", "meeting")],
)
async def test_of_two_like_messages_the_one_from_the_time_in_question(
    ask: Asking, strategy: Strategy, when: str, session: str
) -> None:
    found = await ask(NORA, f"What came of my meeting with the bank about the loan {when}?", strategy)
    assert first(found) == f"{session}:0"


async def test_who_is_named_is_heard_first(ask: Asking, strategy: Strategy) -> None:
    assert _texts(await ask(EXPORT, "What did Ada plant?", strategy))[0] == _LINES[0]
    assert _texts(await ask(EXPORT, "What did Bo plant?", strategy))[0] == _LINES[1]
    assert _texts(await ask(EXPORT, "What is Bo's job?", strategy))[0] == _LINES[7]


async def test_a_name_in_the_question_does_not_make_all_that_person_said_relevant(
    ask: Asking, strategy: Strategy
) -> None:
    found = await ask(EXPORT, "What did Ada plant?", strategy, min_top_k=0, memories_threshold=0.7)
    assert _LINES[0] in _texts(found)
    assert len(found.passages) <= 5, "ten of the twenty lines are Ada's"


async def test_a_name_that_is_no_speaker_is_searched_for(ask: Asking, strategy: Strategy) -> None:
    assert first(await ask(NORA, "What must I know about Emil?", strategy)) == "second meeting:2"


async def test_a_short_answer_is_shown_with_the_question_before_it(ask: Asking, strategy: Strategy) -> None:
    [answer] = (await ask(NORA, "What was at half past seven?", strategy, min_top_k=1, max_top_k=1)).passages
    assert (answer.message, answer.beside and answer.beside.message) == ("flat:1", "flat:0")


async def test_a_question_that_leans_on_the_one_before(ask: Asking, strategy: Strategy) -> None:
    gym = "Let's talk about the gym in our street on Sundays."
    assert first(await ask(NORA, "And what about that?", strategy, previous=gym)) in ("flat:0", "flat:1")
    loan = "The bank wanted payslips for the loan, three payslips, and the meeting with the bank was long."
    assert first(await ask(NORA, "And what about that?", strategy, previous=loan)) in ("meeting:0", "meeting:1")


async def test_a_question_that_stands_by_itself_is_not_led_astray_by_the_one_before(
    ask: Asking, strategy: Strategy
) -> None:
    loan = "The bank wanted payslips for the loan, three payslips, and the meeting with the bank was long."
    alone = await ask(NORA, "What colour of paint goes well with oak furniture?", strategy)
    assert first(alone) in ("garden:0", "garden:1")
    assert await ask(NORA, "What colour of paint goes well with oak furniture?", strategy, previous=loan) == alone


async def test_of_what_changed_the_newer_stands_before_the_older(ask: Asking, strategy: Strategy) -> None:
    found = await ask(NORA, "How many kg do I weigh now?", strategy)
    messages = [passage.message for passage in found.passages]
    assert messages.index("flat:2") < messages.index("second meeting:2")


@pytest.mark.parametrize(
    "question",
    [
        "meeting with the bank " * 5_000,
        "Ada Bo Emil Carl Dora Eve Finn " * 3_000,
        "银行贷款怎么样了？",
        "Wie war mein Termin bei der Bank am 31.02.2025?",
        "What did I say 99999999 years ago, on 2025-13-45, last week, yesterday and in the year 0001?",
        "\ud83d lone surrogate",
        "[a-z]+(?P<x>Ada)|\\",
    ],
)
@pytest.mark.parametrize("previous", ["", "x" * 50_000])
async def test_odd_questions_are_answered_as_well_as_can_be(
    ask: Asking, strategy: Strategy, question: str, previous: str
) -> None:
    found = await ask(NORA, question, strategy, previous=previous, timezone=ZoneInfo("Pacific/Kiritimati"))
    assert found.passages
    assert all(0 <= passage.relevance <= 1 for passage in found.passages)


def _texts(found: Recalled) -> list[str]:
    return [passage.text for passage in found.passages]
