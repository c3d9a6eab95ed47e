"""What is true now, what was before it, and what is in doubt: how recall shows memories that have changed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from recallr_litellm.core.knowledge import ClarifyingQuestion, Conflict, ConflictStatus, Reason
from recallr_litellm.core.options import RecallOptions, Strategy
from recallr_litellm.core.records import Memory
from recallr_litellm.recall import Recall
from tests.benchmarks.conversations import Conversation
from tests.unit.learning.kit import at
from tests.unit.recall_kit import NOW, chat, remembering

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.parametrize("strategy", [Strategy.LOW_LATENCY, Strategy.BALANCED]),
]
MARCH, MAY, JUNE = at("2025-03-01"), at("2025-05-01"), at("2025-06-01")


def known(id: str, content: str, told: int, **more: Any) -> Memory:
    return Memory(id=id * 32, content=content, session="spring", created_at=told, **more)


ENDED = {"expiration_reason": Reason.CHANGE}
DISPUTE = Conflict(
    id="c" * 32,
    memory="3" * 32,
    proposed="d" * 32,
    content="The user takes 20 mg of Novalin.",
    questions=(ClarifyingQuestion(question="How much is it?", options=("10 mg", "20 mg")),),
    session="spring",
    created_at=MAY,
)
IRIS = Conversation(
    "iris",
    (chat("spring", (2025, 3, 5), "I moved to Rome, and I take 10 mg of Novalin.", "Noted."),),
    (),
    (
        known("1", "The user lives in Rome, in Trastevere.", JUNE, reason=Reason.ADDITION),
        known("a", "The user lives in Porto.", MARCH, chain="1" * 32, expired_at=MAY, **ENDED),
        known("b", "The user lives in Rome.", MAY, chain="1" * 32, expired_at=JUNE, reason=Reason.CHANGE).model_copy(
            update={"expiration_reason": Reason.ADDITION}
        ),
        known("2", "The user works at Bosch.", MARCH, expired_at=MAY, expiration_reason=Reason.CONTRADICTION),
        known("3", "The user takes 10 mg of Novalin.", MARCH, conflict=DISPUTE.id, sources=("spring:0",)),
        known("4", "The user has a boat.", MARCH, conflict="e" * 32),
    ),
)


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def recall(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Recall]:
    async with remembering(tmp_path_factory.mktemp("data"), IRIS) as recall:
        await recall._vectors.put_conflict(IRIS.owner, DISPUTE)
        settled = {"id": "e" * 32, "memory": "4" * 32, "status": ConflictStatus.RESOLVED}
        await recall._vectors.put_conflict(IRIS.owner, DISPUTE.model_copy(update=settled))
        yield recall


async def found(recall: Recall, question: str, strategy: Strategy) -> dict[str, Any]:
    options = RecallOptions(strategy=strategy, memories_threshold=0.0)
    recalled = await recall(IRIS.owner, question, options, exclude_sessions=frozenset(), now=NOW)
    return {memory.text: memory for memory in recalled.memories}


async def test_what_is_so_is_shown_with_what_was_before_also_after_more_was_said(
    recall: Recall, strategy: Strategy
) -> None:
    memories = await found(recall, "Where do I live?", strategy)
    home = memories["The user lives in Rome, in Trastevere."]
    assert home.until is None
    assert home.was == ((MAY, "The user lives in Porto."),), "what was said more of it was no change"
    assert not {"The user lives in Porto.", "The user lives in Rome.", "The user works at Bosch."} & memories.keys()


@pytest.mark.parametrize(
    "question",
    [
        "Where did I live before?",
        "Where did I live in April?",
        "Wo habe ich früher gewohnt?",
        "Où est-ce que j'habitais avant ?",
        "¿Dónde vivía antes?",
        "Onde eu morava antigamente?",
        "Dove abitavo prima?",
        "Waar woonde ik vroeger?",
    ],
)
async def test_what_is_over_is_found_by_questions_about_the_past(
    recall: Recall, strategy: Strategy, question: str
) -> None:
    memories = await found(recall, question, strategy)
    assert memories["The user lives in Porto."].until == MAY
    assert memories["The user works at Bosch."].until == MAY
    assert memories["The user lives in Rome, in Trastevere."].was == (), "what is found itself is not repeated"


async def test_a_dispute_is_shown_until_it_is_settled_also_beside_what_was_said(
    recall: Recall, strategy: Strategy
) -> None:
    memories = await found(recall, "I take 10 mg of Novalin.", strategy)
    disputed = memories["The user takes 10 mg of Novalin."].disputed
    assert disputed == "The user takes 20 mg of Novalin. How much is it? (10 mg / 20 mg)"
    assert memories["The user has a boat."].disputed == ""
