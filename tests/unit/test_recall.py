"""What is recalled for a question: real conversations in the embedded store, found with the bundled model."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from recallr_litellm.core.messages import Role
from recallr_litellm.core.options import RecallOptions, Strategy
from recallr_litellm.core.owner import Owner
from recallr_litellm.core.recalled import Recalled
from recallr_litellm.errors import EmbeddingUnavailable
from recallr_litellm.recall import Recall
from recallr_litellm.settings import Settings
from recallr_litellm.stores.embedding import Embedder, GatewayEmbed, SparseEncoder, open_embedder
from recallr_litellm.stores.vectors import VectorStore, open_collections
from tests.benchmarks.conversations import Conversation, Said, Spoken, remember

pytestmark = pytest.mark.asyncio(loop_scope="module")

MARA, OTTO = Owner("p", "mara"), Owner("p", "otto")
DAY = 24 * 3600 * 1000
START = int(datetime(2025, 3, 3, 9, 0, tzinfo=UTC).timestamp() * 1000)

LENTILS = """\
Here is a dal that works on weeknights.

1. Rinse 250 g of red lentils and simmer them in a litre of water with half a teaspoon of turmeric for 20 minutes.
2. In a pan, heat two tablespoons of ghee and fry one teaspoon of cumin seeds, four cloves of garlic and a chilli.
3. Pour the tempering over the lentils, add the juice of half a lime and salt, and let it stand for five minutes.

Serve it with rice or flatbread. It keeps for three days in the fridge, and it freezes well for two months. If it
thickens overnight, add a splash of water when you warm it up. Leftovers make a good filling for parathas as well.
Since nothing in it comes from nuts, it is safe for you; only check the label of the flatbread if you buy it."""

MARAS: dict[str, list[tuple[Role, str]]] = {
    "kitchen": [
        ("user", "I'm allergic to peanuts, so please keep that in mind. What can I cook with red lentils tonight?"),
        ("assistant", LENTILS),
        ("user", "Great, thanks!"),
    ],
    "lisbon": [
        ("user", "In May I'm flying to Lisbon with my sister Ines for a week. Where should we stay?"),
        ("assistant", "Look at the Alfama quarter. Hotel Mirador da Graça is quiet and has a view over the river."),
        ("user", "We booked it. Ines gets seasick easily, so no boat tours."),
    ],
    "work": [
        ("user", "I started as a nurse at the children's hospital this week. The night shifts are hard."),
        (
            "assistant",
            "Congratulations! Keep the room dark when you sleep by day, and eat something light before work.",
        ),
        ("user", "My shift starts at ten in the evening on Mondays and Thursdays."),
    ],
    "dog": [
        ("user", "We adopted a dog from the shelter yesterday, a greyhound. What shall we call him?"),
        ("assistant", "For a greyhound I would pick Comet, Dash or Pascal."),
        ("user", "Pascal it is! He sleeps on the sofa already."),
        ("user", "Great, thanks!"),
    ],
}
OTTOS: dict[str, list[tuple[Role, str]]] = {
    "otto": [
        ("user", "I'm allergic to cats. My shift at the bakery starts at four in the morning."),
        ("assistant", "That is early. A dog might suit you better then."),
    ]
}


async def no_gateway(model: str, texts: list[str]) -> list[list[float]]:
    raise AssertionError(f"{model} is not to be used here")


@dataclass
class Memory:
    vectors: VectorStore
    embedder: Embedder
    sparse: SparseEncoder

    @property
    def recall(self) -> Recall:
        return Recall(self.vectors, self.embedder, self.sparse)


def settings(folder: Path) -> Settings:
    return Settings(data_dir=folder, embedding_model=None, qdrant_url=None)


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def memory(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Memory]:
    chosen = settings(tmp_path_factory.mktemp("data"))
    gateway: GatewayEmbed = no_gateway
    embedder = open_embedder(chosen, gateway)
    await embedder.open()
    vectors = VectorStore(open_collections(chosen), embedder)
    await vectors.open()
    memory = Memory(vectors, embedder, SparseEncoder())
    for owner, sessions in ((MARA, MARAS), (OTTO, OTTOS)):
        spoken = tuple(
            Spoken(
                session,
                datetime.fromtimestamp((START + number * DAY) / 1000, UTC),
                tuple(Said(f"{session}-{place}", role, text) for place, (role, text) in enumerate(said)),
            )
            for number, (session, said) in enumerate(sessions.items())
        )
        await remember(Conversation("", spoken, ()), vectors, embedder, memory.sparse, owner)
    yield memory
    await vectors.close()
    await embedder.close()


async def ask(memory: Memory, question: str, owner: Owner = MARA, **options: Any) -> Recalled:
    return await memory.recall(owner, question, replace(RecallOptions(), **options), exclude_sessions=frozenset())


@pytest.mark.parametrize(
    ("question", "evidence"),
    [
        ("Is there anything I can't eat?", "kitchen-0"),
        ("Any food allergies?", "kitchen-0"),
        ("What do I do for a living?", "work-0"),
        ("When do I have to be at work?", "work-2"),
        ("What is my dog called?", "dog-2"),
        ("Which breed is he, my dog?", "dog-0"),
        ("Who is coming with me to Portugal?", "lisbon-0"),
        ("Should we take a ferry?", "lisbon-2"),
    ],
)
async def test_what_the_user_said_is_among_the_first_memories(memory: Memory, question: str, evidence: str) -> None:
    found = await ask(memory, question)
    first = [passage.message for passage in found.passages[:4]]
    assert evidence in first, f"expected {evidence} among {[passage.text[:60] for passage in found.passages[:4]]}"


@pytest.mark.parametrize(
    ("question", "evidence", "words"),
    [
        ("What was the hotel you recommended?", "lisbon-1", "Mirador da Graça"),
        ("How long did you say the lentils have to simmer?", "kitchen-1", "20 minutes"),
        ("Which names did you suggest for the greyhound?", "dog-1", "Comet"),
    ],
)
async def test_what_the_assistant_said_is_recalled_like_what_the_user_said(
    memory: Memory, question: str, evidence: str, words: str
) -> None:
    found = await ask(memory, question)
    assert [p for p in found.passages[:4] if p.message == evidence and p.role == "assistant" and words in p.text]


async def test_users_never_meet(memory: Memory) -> None:
    found = await ask(memory, "When does my shift start, and what am I allergic to?", memories_threshold=0.0)
    assert found.passages
    assert {passage.session for passage in found.passages} <= set(MARAS)
    assert {summary.session for summary in found.summaries} <= set(MARAS)
    others = await ask(memory, "When does my shift start, and what am I allergic to?", OTTO, last_n_user_messages=9)
    assert {passage.session for passage in others.passages} == {"otto"}
    assert {session for session, _ in others.last_messages} == {"otto"}
    assert await ask(memory, "When does my shift start?", Owner("other project", "mara")) == Recalled()


async def test_sessions_that_the_model_sees_anyway_are_left_out(memory: Memory) -> None:
    options = RecallOptions(summaries_threshold=0.0, last_n_user_messages=50, last_n_summaries=10)
    found = await memory.recall(MARA, "What is my dog called?", options, exclude_sessions=frozenset({"dog", "work"}))
    sessions = {p.session for p in found.passages} | {s.session for s in found.summaries}
    sessions |= {session for session, _ in found.last_messages} | {session.id for session in found.last_summaries}
    assert sessions == {"kitchen", "lisbon"}


async def test_an_answer_is_relevant_and_small_talk_is_not(memory: Memory) -> None:
    asked = await ask(memory, "Any food allergies?", memories_threshold=0.0)
    by_message = {passage.message: passage.relevance for passage in reversed(asked.passages)}
    assert by_message["kitchen-0"] == max(by_message.values()) >= 0.6, "it is the answer, far more likely than not"
    assert by_message["work-2"] < 0.5
    idle = await ask(memory, "Ha, that's funny!", min_top_k=0)
    assert len(idle.passages) <= 2, "small talk recalls (almost) nothing"
    assert idle.summaries == ()


async def test_a_request_after_a_pasted_page_is_searched_for(memory: Memory) -> None:
    page = "The municipal council discussed the budget of the harbour extension at length. " * 400
    alone = await ask(memory, page)
    found = await ask(memory, f"{page}\n\nUnrelated: what is my dog called?")
    assert alone.passages[0].session != "dog", "the page alone has nothing to do with the dog"
    assert {passage.session for passage in found.passages[:2]} == {"dog"}, "the question at its end was overlooked"


async def test_a_long_text_does_not_make_everything_relevant_that_shares_words_with_it(memory: Memory) -> None:
    essay = (
        "My grandmother never measured anything. She would pour oil into the pan, add garlic, cumin, turmeric and a "
        "handful of red lentils, then water, salt, lime juice and whatever leftovers the fridge held, warm bread or "
        "rice on the side, and let it stand for minutes while she told us about her sister, her years at the "
        "hospital, the light over the river, a dog that slept on the sofa, a flight she missed one Monday in May, "
        "and how hard the nights were. Please check the grammar of this."
    )
    found = await ask(memory, essay, min_top_k=0)
    sessions = [passage.session for passage in found.passages]
    assert sessions[0] == "kitchen"
    assert len(set(sessions)) <= 2, "only what the text is mostly about"


async def test_without_words_only_the_recent_things_come_back_and_no_model_is_needed(
    memory: Memory, tmp_path: Path
) -> None:
    not_open = open_embedder(settings(tmp_path), no_gateway)
    recall = Recall(memory.vectors, not_open, memory.sparse)
    options = RecallOptions(last_n_user_messages=3, last_n_summaries=2)
    for question in ("", "   \n", "🎉🎉", "?!"):
        found = await recall(MARA, question, options, exclude_sessions=frozenset())
        assert (found.passages, found.summaries) == ((), ())
        assert [stored.message.text for _, stored in found.last_messages] == [
            "We adopted a dog from the shelter yesterday, a greyhound. What shall we call him?",
            "Pascal it is! He sleeps on the sofa already.",
            "Great, thanks!",
        ]
        assert [session.id for session in found.last_summaries] == ["work", "dog"], "oldest first"
        assert await recall(MARA, question, RecallOptions(), exclude_sessions=frozenset()) == Recalled()
    with pytest.raises(EmbeddingUnavailable):
        await recall(MARA, "What is my dog called?", options, exclude_sessions=frozenset())


async def test_what_a_model_searches_on_from_is_what_balanced_recalls(memory: Memory) -> None:
    reference = await ask(memory, "What is my dog called?", strategy=Strategy.BALANCED)
    assert reference.passages
    for strategy in (Strategy.AGENTIC, Strategy.AUTO):
        assert await ask(memory, "What is my dog called?", strategy=strategy) == reference
