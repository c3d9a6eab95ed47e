"""A session's summary without a model: the facts, in order, short, the same each time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from recallr_litellm.core.messages import Role
from recallr_litellm.core.passages import estimate_tokens, split
from recallr_litellm.memory.summarise import MAX_SUMMARY_TOKENS, summarise
from recallr_litellm.settings import Settings
from recallr_litellm.stores.embedding import open_embedder

Conversation = list[tuple[Role, str]]

TRIP: Conversation = [
    ("user", "Hi there!"),
    ("assistant", "Hello! How can I help you today?"),
    ("user", "I'm planning a trip to Lisbon in May with my daughter Clara. She is vegetarian."),
    (
        "assistant",
        "That sounds wonderful! For vegetarians in Lisbon I recommend Ao 26 and Jardim das Cerejas. In May the weather "
        "is mild, around 22 degrees, so pack light layers.",
    ),
    ("user", "Our budget is 1,500 euros for five days."),
    (
        "assistant",
        "With 1,500 euros you can stay in Alfama for about 110 euros a night. Buy the Lisboa Card for trams.",
    ),
    ("user", "ok thanks"),
    ("assistant", "You're welcome! Enjoy your trip!"),
]

HEALTH: Conversation = [
    ("user", "Good morning"),
    ("user", "My doctor found a peanut allergy, so I had to give up my favourite cereal."),
    ("assistant", "I'm sorry to hear that. Sunflower seed butter is a common substitute."),
    ("user", "I also started running on Sundays with my neighbour Tom."),
    ("tool", '{"temperature": 21, "unit": "celsius", "station": "Gdansk airport", "wind": "north"}'),
    ("assistant", "Great! Start with intervals of two minutes and increase the distance by ten percent a week."),
    ("user", "Thanks a lot, bye!"),
]


@pytest.fixture(scope="module")
def summary_of() -> Iterator[Callable[[Conversation], str]]:
    embedder = open_embedder(Settings(embedding_model=None), lambda *_: pytest.fail("no gateway here"))
    with asyncio.Runner() as runner:
        runner.run(embedder.open())

        def summarised(conversation: Conversation) -> str:
            passages = [(role, passage) for role, text in conversation for passage in split(text)]
            vectors = np.stack(runner.run(embedder.passages([text for _, text in passages])))
            return summarise(passages, vectors)

        yield summarised
        runner.run(embedder.close())


@pytest.mark.parametrize(
    ("conversation", "facts"),
    [
        (
            TRIP,
            ["User: I'm planning a trip to Lisbon in May with my daughter Clara. She is vegetarian.", "1,500 euros"],
        ),
        (HEALTH, ["User: My doctor found a peanut allergy", "User: I also started running on Sundays", "Sunflower"]),
    ],
    ids=["trip", "health"],
)
def test_the_facts_are_in_it(
    summary_of: Callable[[Conversation], str], conversation: Conversation, facts: list[str]
) -> None:
    summary = summary_of(conversation)
    for fact in facts:
        assert fact in summary, f"{fact!r} is missing from:\n{summary}"


@pytest.mark.parametrize("conversation", [TRIP, HEALTH], ids=["trip", "health"])
def test_pleasantries_and_tool_results_are_not_in_it(
    summary_of: Callable[[Conversation], str], conversation: Conversation
) -> None:
    summary = summary_of(conversation).lower()
    for noise in ("hi there", "ok thanks", "you're welcome", "good morning", "bye!", "celsius", "how can i help"):
        assert noise not in summary, f"{noise!r} tells nothing, but is in:\n{summary}"


def test_lines_stand_in_the_order_of_the_conversation(summary_of: Callable[[Conversation], str]) -> None:
    said = [text for _, text in TRIP]
    places = [
        next(index for index, text in enumerate(said) if line.partition(": ")[2] in text)
        for line in summary_of(TRIP).splitlines()
    ]
    assert len(places) >= 3, "too little of the conversation is in the summary"
    assert places == sorted(set(places)), f"lines are out of order or repeated: {places}"


def test_a_long_session_gives_a_short_summary_of_several_subjects(
    summary_of: Callable[[Conversation], str],
) -> None:
    subjects = ["my sister Ana's bakery in Porto", "my old red bicycle", "our cat's diabetes", "my exam in chemistry"]
    conversation: Conversation = [
        ("user", f"In week {week} I spent most of my time on {subject}, and that went {how}.")
        for week, how in enumerate(["badly", "well", "slowly", "as planned", "worse than last year"])
        for subject in subjects
    ]
    summary = summary_of(conversation)
    assert 0 < estimate_tokens(summary) <= MAX_SUMMARY_TOKENS, "the summary is longer than it may be"
    assert sum(subject in summary for subject in subjects) >= 3, f"it keeps to one subject:\n{summary}"


@pytest.mark.parametrize(
    "conversation",
    [
        [("user", "Hi!"), ("assistant", "Hello, how can I help you today?"), ("user", "ok thanks, bye")],
        [("tool", "42")],
    ],
    ids=["pleasantries", "tool result"],
)
def test_a_session_that_said_nothing_has_no_summary(
    summary_of: Callable[[Conversation], str], conversation: Conversation
) -> None:
    assert summary_of(conversation) == "", "there was nothing to summarise"
