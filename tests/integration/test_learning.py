"""With a memory model, sessions become facts: over the real protocol, whatever that model's provider can do."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from recallrai import exceptions
from recallrai.exceptions import InvalidCategoriesError, RecallrAIError
from recallrai.models import MessageRole
from recallrai.models.merge_conflict import MergeConflictAnswer, MergeConflictStatus

from tests.support.api import call, sdk
from tests.support.memory import remember
from tests.support.provider import Answer, Provider, Recorded, ThreadedProvider
from tests.support.proxy import CHAT_MODEL, MEMORY_MODEL, Proxy
from tests.support.waiting import eventually


@pytest.fixture(scope="module")
def learning(running_provider: ThreadedProvider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    settings = {"RECALLR_MEMORY_MODEL": MEMORY_MODEL}
    with Proxy(tmp_path_factory.mktemp("learning"), running_provider, settings=settings) as proxy:
        yield proxy


def lives(place: str, **more: Any) -> str:
    """What a good model extracts."""
    fact = {
        "text": f"User lives in {place}.",
        "subject": "user",
        "attribute": "home",
        "kind": "fact",
        "modality": "asserted",
        "negated": False,
        "start": "",
        "end": "",
        "entities": [{"name": place, "kind": "place"}],
        "categories": ["home"],
        "confidence": "high",
        "evidence": [1],
        "questions": ["Where do I live?"],
        **more,
    }
    return json.dumps({"facts": [fact]})


def decides(outcome: str) -> str:
    decision = {"fact": 1, "outcome": outcome, "memory": 1, "text": "", "reason": "", "questions": []}
    return json.dumps({"decisions": [decision]})


def asked(provider: Provider, containing: str = "") -> list[Recorded]:
    """What the memory model was asked."""
    return [one for one in provider.chats(model=MEMORY_MODEL) if containing in one.user_text]


def block_for(proxy: Proxy, provider: Provider, user: str, question: str) -> str:
    proxy.ask(user, question)
    return provider.chats(model=CHAT_MODEL)[-1].user_text


def shown_to_be(proxy: Proxy, provider: Provider, user: str, place: str) -> None:
    fact = f"User lives in {place}."
    eventually(lambda: fact in block_for(proxy, provider, user, "Where do I live?"), f"the block shows: {fact}")


def test_a_change_over_sessions_is_shown_with_what_was_before(learning: Proxy, provider: Provider, user: str) -> None:
    provider.answer(
        Answer(model=MEMORY_MODEL, when="I live in Porto", text=lives("Porto")),
        Answer(model=MEMORY_MODEL, when="I moved to Rome", text=lives("Rome")),
        Answer(model=MEMORY_MODEL, when="FACT 1", text=decides("change")),
    )
    remember(learning, user, "I live in Porto.")
    shown_to_be(learning, provider, user, "Porto")
    remember(learning, user, "I moved to Rome last week.")

    def settled() -> bool:
        shown = block_for(learning, provider, user, "Where do I live?")
        return "User lives in Rome." in shown and "> User lives in Porto." in shown and "<until " in shown

    eventually(settled, "the block shows where the user lives, and lived")
    session = sdk(learning).get_user(user).create_session()
    session.add_message(MessageRole.USER, "Where do I live?")
    context = session.get_context(include_metadata_ids=True)
    assert "User lives in Rome." in (context.context or ""), "the API shows what a chat is shown"
    [memory] = sdk(learning).get_user(user).list_memories().items
    assert context.metadata.memory_ids == [memory.memory_id]
    [request] = [one for one in asked(provider, "TARGET") if "I live in Porto" in one.user_text]
    assert request.json["response_format"]["json_schema"]["strict"] is True
    assert request.json["temperature"] == 0


def test_an_overloaded_model_is_asked_again_and_nothing_is_lost(learning: Proxy, provider: Provider, user: str) -> None:
    provider.answer(
        Answer(model=MEMORY_MODEL, when="I live in Graz", status=429, times=1, headers={"retry-after": "1"}),
        Answer(model=MEMORY_MODEL, when="I live in Graz", text=lives("Graz")),
    )
    remember(learning, user, "I live in Graz.")
    shown_to_be(learning, provider, user, "Graz")


def test_a_contradiction_is_asked_about_and_settled_through_the_sdk(
    learning: Proxy, provider: Provider, user: str
) -> None:
    person = sdk(learning).create_user(user, merge_conflict_enabled=True)
    provider.answer(
        Answer(model=MEMORY_MODEL, when="My dose is 10 mg", text=lives("the 10 mg world")),
        Answer(model=MEMORY_MODEL, when="My dose is 20 mg", text=lives("the 20 mg world")),
        Answer(model=MEMORY_MODEL, when="FACT 1", text=decides("contradiction")),
    )
    remember(learning, user, "My dose is 10 mg.")
    shown_to_be(learning, provider, user, "the 10 mg world")
    remember(learning, user, "My dose is 20 mg.")
    listed = eventually(lambda: person.list_merge_conflicts().conflicts, "a conflict is raised")
    [conflict] = listed
    assert "disputed" in block_for(learning, provider, user, "Where do I live?")
    [question] = conflict.clarifying_questions
    right = MergeConflictAnswer(question=question.question, answer="User lives in the 20 mg world.")
    for answers, error in (
        ([], exceptions.MergeConflictMissingAnswersError),
        ([MergeConflictAnswer(question="Why?", answer="So.")], exceptions.MergeConflictInvalidQuestionsError),
        ([MergeConflictAnswer(question=right.question, answer="Neither.")], exceptions.MergeConflictInvalidAnswerError),
    ):
        with pytest.raises(error):
            conflict.resolve(answers)
    late = person.get_merge_conflict(conflict.conflict_id)
    conflict.resolve([right])
    assert conflict.status is MergeConflictStatus.RESOLVED
    with pytest.raises(exceptions.MergeConflictAlreadyResolvedError):
        late.resolve([right])
    [memory] = person.list_memories().items
    assert memory.content == "User lives in the 20 mg world."
    assert [one.content for one in memory.previous_versions] == ["User lives in the 10 mg world."]


def test_the_model_sees_own_words_only_and_its_calls_are_no_requests_of_the_users(
    learning: Proxy, provider: Provider, user: str
) -> None:
    provider.answer(Answer(model=MEMORY_MODEL, text='{"facts": []}'))
    remember(learning, user, "<system-reminder>\nDeploy key is 4711.\n</system-reminder>\nMy code is in Rust.")
    eventually(lambda: bool(asked(provider, "My code is in Rust.")), "the model is asked")
    [request] = asked(provider, "My code is in Rust.")
    assert "4711" not in json.dumps(request.json)
    assert "recallr_memory" not in json.dumps(request.json)


def test_the_api_lists_reads_and_deletes_what_was_learned(learning: Proxy, provider: Provider, user: str) -> None:
    provider.answer(
        Answer(model=MEMORY_MODEL, when="I live in Turin", text=lives("Turin")),
        Answer(model=MEMORY_MODEL, when="I moved to Basel", text=lives("Basel")),
        Answer(model=MEMORY_MODEL, when="FACT 1", text=decides("change")),
    )
    first = remember(learning, user, "I live in Turin.")
    person = sdk(learning).get_user(user)
    eventually(lambda: person.list_memories().total, "the first fact is learned", until=lambda total: total == 1)
    second = remember(learning, user, "I moved to Basel last week.")

    def versions() -> int:
        return person.list_memories().items[0].total_versions

    eventually(versions, "the second fact is a version of the first", until=lambda total: total == 2)
    [memory] = person.list_memories().items
    assert (memory.content, memory.categories, memory.session_id) == ("User lives in Basel.", ["home"], second)
    assert (memory.version_number, memory.has_previous_versions, memory.expired_at) == (2, True, None)
    [earlier] = memory.previous_versions or []
    assert (earlier.content, earlier.version_number) == ("User lives in Turin.", 1)
    assert earlier.expiration_reason == "TEMPORAL_CONFLICT"
    assert person.get_memory(memory.memory_id) == memory
    past = person.get_memory(earlier.memory_id)
    assert (past.content, past.version_number, past.total_versions, past.session_id) == (earlier.content, 1, 2, first)
    assert past.expired_at is not None

    bare = person.list_memories(include_previous_versions=False, include_connected_memories=False).items[0]
    assert (bare.previous_versions, bare.connected_memories) == (None, None)
    assert person.list_memories(categories=["home"]).total == 1
    with pytest.raises(InvalidCategoriesError) as invalid:
        person.list_memories(categories=["home", "work"])
    assert invalid.value.invalid_categories == ["work"]
    assert person.list_memories(session_id_filter=[second]).total == 1
    assert person.list_memories(session_id_filter=[first]).total == 0, "what it said before is none of its own"
    assert person.list_memories(session_metadata_filter={"kind": "none"}).total == 0
    other = sdk(learning).create_user(f"other-{user}")
    for id in (memory.memory_id, earlier.memory_id):
        with pytest.raises(RecallrAIError, match=f"Memory {id} not found"):
            other.get_memory(id)
        with pytest.raises(RecallrAIError, match=f"Memory {id} not found"):
            other.delete_memory(id)
    assert person.list_memories().items == [memory], "nobody else has deleted it"
    person.delete_memory(memory.memory_id)
    assert [one.content for one in person.list_memories().items] == ["User lives in Turin."], "as it was before"
    person.delete_memory(person.list_memories().items[0].memory_id, delete_previous_versions=True)
    assert person.list_memories().total == 0


def test_the_api_shows_entities_and_how_memories_hang_together(learning: Proxy, provider: Provider, user: str) -> None:
    rex = {"entities": [{"name": "Rex", "kind": "pet"}]}
    provider.answer(
        Answer(model=MEMORY_MODEL, when="My dog is Rex", text=lives("Bern with Rex", **rex)),
        Answer(model=MEMORY_MODEL, when="Rex was at the vet", text=lives("Bern, where Rex saw a vet", **rex)),
        Answer(model=MEMORY_MODEL, when="FACT 1", text=decides("new")),
    )
    remember(learning, user, "My dog is Rex.")
    person = sdk(learning).get_user(user)
    eventually(lambda: person.list_memories().total, "the first fact is learned", until=lambda total: total == 1)
    second = remember(learning, user, "Rex was at the vet.")
    eventually(lambda: person.list_memories().total, "the second is learned", until=lambda total: total == 2)

    listed = call(learning, "GET", f"/users/{user}/entities").json()
    [entity] = listed["items"]
    assert (entity["name"], entity["kind"], entity["mentions"], listed["total"]) == ("Rex", "pet", 2, 1)
    graph = call(learning, "GET", f"/users/{user}/graph?limit=1&entity_id={entity['entity_id']}").json()
    assert (graph["total"], graph["has_more"], [one["session_id"] for one in graph["sessions"]]) == (2, True, [second])
    [newest] = graph["memories"]
    whole = call(learning, "GET", f"/users/{user}/graph").json()
    kinds = [edge["kind"] for edge in whole["edges"]]
    assert sorted(kinds) == ["connected", "from", "from", "speaks_of", "speaks_of"]
    person.delete_memory(newest["memory_id"])
    left = call(learning, "GET", f"/users/{user}/graph").json()
    assert [edge["kind"] for edge in left["edges"]] == ["speaks_of", "from"], "the connection went with its end"
