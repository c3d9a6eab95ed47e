"""The context of a session is what a chat would have been given."""

from __future__ import annotations

import re

import pytest
from recallrai.exceptions import SessionNotFoundError
from recallrai.models import MessageRole, RecallStrategy
from recallrai.session import Session

from recallr_litellm.core.instructions import instructions
from recallr_litellm.core.options import Strategy
from tests.support.api import call, sdk
from tests.support.memory import remember
from tests.support.provider import Answer, Provider
from tests.support.proxy import Proxy
from tests.support.shown import leading_block

CAT, DOG, BIKE = "My cat is called Felix.", "My dog is called Rex.", "I ride my bike to work in Ghent."
QUESTION = "What is my cat called?"


@pytest.fixture
def session(proxy: Proxy, provider: Provider, user: str) -> Session:
    """A session of a user who has said three things before, two in a session that is processed."""
    provider.answer(Answer(text="Noted."))
    remember(proxy, user, CAT, BIKE)
    proxy.ask(user, DOG)
    session = sdk(proxy).get_user(user).create_session()
    session.add_message(MessageRole.USER, "I have a question.")
    session.add_message(MessageRole.ASSISTANT, "Please ask.")
    session.add_message(MessageRole.USER, QUESTION)
    return session


def without_now(block: str) -> str:
    return re.sub(r'now="[^"]*"', "", block)


def test_the_context_is_the_block_of_a_chat(proxy: Proxy, provider: Provider, user: str, session: Session) -> None:
    options = {"min_top_k": 5, "max_top_k": 9, "memories_threshold": 0.1, "summaries_threshold": 0.1}

    context = session.get_context(**options, timezone="Asia/Tokyo", include_system_prompt=False)
    history = [
        {"role": "user", "content": "I have a question."},
        {"role": "assistant", "content": "Please ask."},
        {"role": "user", "content": QUESTION},
    ]
    proxy.ask(user, *history, session_id=session.session_id, timezone="Asia/Tokyo", **options)

    block, _ = leading_block(provider.last.json["messages"][-1]["content"])
    assert context.context is not None
    assert without_now(context.context) == without_now(block)
    assert CAT in block
    assert 'timezone="Asia/Tokyo"' in block
    assert DOG in block, "what is going on elsewhere is told too"
    assert QUESTION not in context.context, "the session's own messages are the application's to send"


def test_instructions_stand_in_front_and_are_those_of_the_strategy(proxy: Proxy, session: Session) -> None:
    for strategy in (RecallStrategy.LOW_LATENCY, RecallStrategy.BALANCED, RecallStrategy.AUTO):
        told = session.get_context(recall_strategy=strategy)
        assert told.metadata is not None
        used = told.metadata.recall_strategy_used
        assert used in (RecallStrategy.LOW_LATENCY, RecallStrategy.BALANCED), "auto says what it chose"
        fetched = RecallStrategy.LOW_LATENCY if strategy is RecallStrategy.AUTO else strategy
        block = session.get_context(recall_strategy=strategy, include_system_prompt=False).context or ""
        assert without_now(told.context or "") == without_now(instructions(Strategy(fetched.value)) + "\n\n\n" + block)
    path = f"/users/{session._user_id}/sessions/{session.session_id}/context"
    plain = call(proxy, "GET", f"{path}?include_system_prompt=true").json()["context"]
    assert plain.startswith(instructions(Strategy.BALANCED) + "\n\n\n<recallr_memory ")


def test_ids_are_those_of_what_is_shown(proxy: Proxy, user: str, session: Session) -> None:
    person = sdk(proxy).get_user(user)
    others = {one.session_id for one in person.list_sessions().sessions} - {session.session_id}

    metadata = session.get_context(include_metadata_ids=True, min_top_k=5).metadata

    assert metadata is not None
    assert set(metadata.session_ids or ()) == others
    assert metadata.memory_ids == []
    assert metadata.vector_search_queries == [QUESTION]
    without = session.get_context(include_metadata_ids=False).metadata
    assert without is not None
    assert (without.session_ids, without.memory_ids) == (None, None)


def test_last_messages_and_summaries_are_added_when_asked_for(proxy: Proxy, session: Session) -> None:
    nothing = {"max_top_k": 0, "min_top_k": 0, "summaries_threshold": 1.0, "include_system_prompt": False}

    assert "<recent" not in (session.get_context(**nothing).context or "")

    block = session.get_context(**nothing, last_n_messages=1, last_n_summaries=1).context or ""
    assert "<recent messages" in block
    assert BIKE in block, "the last message of the finished sessions"
    assert "<recent summaries>" in block


def test_a_session_without_a_question_has_a_context(proxy: Proxy, user: str) -> None:
    session = sdk(proxy).create_user(user).create_session()

    context = session.get_context(include_system_prompt=False)

    assert (context.is_final, context.context, context.error_message) == (True, "", None)


def test_a_stream_ends_with_the_context(proxy: Proxy, session: Session) -> None:
    events = list(session.get_context_stream(include_metadata_ids=True))

    assert [event.is_final for event in events] == [False] * (len(events) - 1) + [True]
    told = [event.status_update_message for event in events[:-1]]
    assert told[0] == "Searching memory"
    assert re.fullmatch(r"Found [0-9]+ passages, 0 memories and [0-9]+ summaries", told[-1] or "")
    assert without_now(events[-1].context or "") == without_now(session.get_context().context or "")


def test_agentic_without_a_model_says_so(proxy: Proxy, session: Session) -> None:
    context = session.get_context(recall_strategy=RecallStrategy.AGENTIC)

    assert context.error_message == "RECALLR_MEMORY_MODEL is not set"
    assert CAT in (context.context or ""), "and gives what a search without one finds"


@pytest.mark.parametrize("stream", [False, True])
def test_an_unknown_session_has_no_context(proxy: Proxy, user: str, session: Session, *, stream: bool) -> None:
    response = call(proxy, "GET", f"/users/{user}/sessions/{'0' * 32}/context?stream={stream}")

    assert (response.status_code, response.json()) == (404, {"detail": f"Session {'0' * 32} not found"})
    session.session_id = "0" * 32
    with pytest.raises(SessionNotFoundError):
        session.get_context()


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("min_top_k=9&max_top_k=5", "max_top_k: "),
        ("timezone=Mars/Base", "timezone: must be an IANA time zone"),
        ("memories_threshold=nan", "memories_threshold: "),
        ("last_n_messages=0", "last_n_messages: "),
        ("recall_strategy=fast", "recall_strategy: must be 'low_latency'"),
    ],
)
def test_a_bad_value_is_named(proxy: Proxy, user: str, query: str, said: str) -> None:
    session = sdk(proxy).create_user(user).create_session()

    response = call(proxy, "GET", f"/users/{user}/sessions/{session.session_id}/context?{query}")

    assert response.status_code == 422
    assert response.json()["detail"].startswith(said), response.text
