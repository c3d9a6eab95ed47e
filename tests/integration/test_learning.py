"""With a memory model, sessions become facts: over the real protocol, whatever that model's provider can do."""

from __future__ import annotations

import json
import signal
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from recallrai import exceptions
from recallrai.exceptions import InvalidCategoriesError, RecallrAIError
from recallrai.models import MessageRole
from recallrai.models.merge_conflict import MergeConflictAnswer, MergeConflictStatus
from typer.testing import CliRunner

from recallr_litellm.cli import app
from tests.support.api import call, sdk
from tests.support.command import Running, prose
from tests.support.memory import Memory, remember
from tests.support.observe import metric
from tests.support.provider import Answer, Provider, Recorded, ThreadedProvider
from tests.support.proxy import API_KEY, CHAT_MODEL, MEMORY_MODEL, PROJECT, Proxy
from tests.support.reconify_endpoint import ReconifyEndpoint
from tests.support.waiting import eventually


@pytest.fixture(scope="module")
def webhooks() -> Iterator[ReconifyEndpoint]:
    with ReconifyEndpoint("webhook-id") as endpoint:
        yield endpoint


@pytest.fixture(scope="module")
def learning(
    running_provider: ThreadedProvider, webhooks: ReconifyEndpoint, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Proxy]:
    settings = {
        "RECALLR_MEMORY_MODEL": MEMORY_MODEL,
        "RECALLR_WEBHOOK_URL": webhooks.url,
        "RECALLR_WEBHOOK_SECRET": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
    }
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
        "evidence": [*range(1, 12)],  # of a session that begins with questions too
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
    proxy.ask(user, question, conversation_id=uuid.uuid4().hex)  # else what is told next may belong to this session
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
        Answer(model=MEMORY_MODEL, when="in Bern with Rex", text=lives("Bern with Rex", **rex)),
        Answer(model=MEMORY_MODEL, when="where Rex saw a vet", text=lives("Bern, where Rex saw a vet", **rex)),
        Answer(model=MEMORY_MODEL, when="FACT 1", text=decides("new")),
    )
    remember(learning, user, "I live in Bern with Rex.")
    person = sdk(learning).get_user(user)
    eventually(lambda: person.list_memories().total, "the first fact is learned", until=lambda total: total == 1)
    second = remember(learning, user, "I live in Bern, where Rex saw a vet.")
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


def test_the_profile_is_shown_to_a_greeting_and_told_with_its_sources(
    learning: Proxy, provider: Provider, user: str
) -> None:
    def set_tokens(tokens: int | None) -> None:
        url = f"{learning.url}/api/v1/admin/projects/{PROJECT}"
        headers = {"Authorization": f"Bearer {learning.master_key}"}
        answer = httpx.patch(url, json={"profile_tokens": tokens}, headers=headers, trust_env=False, timeout=60.0)
        assert answer.status_code == 200, answer.text

    provider.answer(Answer(model=MEMORY_MODEL, when="I live in Bari", text=lives("Bari")))
    remember(learning, user, "I live in Bari.")
    shown_to_be(learning, provider, user, "Bari")
    set_tokens(200)
    try:
        [line] = eventually(lambda: call(learning, "GET", f"/users/{user}/profile").json()["lines"], "it is on")
        [memory] = sdk(learning).get_user(user).list_memories().items
        assert (line["memory_id"], line["content"]) == (memory.memory_id, "User lives in Bari.")
        assert line["attribute"] == "home"
        assert line["message_ids"]
        learning.ask(user, "Hi!", conversation_id=f"{user}-new")
        assert "<profile of the user>" in provider.chats(model=CHAT_MODEL)[-1].user_text
        access = {"RECALLR_GATEWAY": learning.url, "RECALLR_PROJECT_ID": PROJECT, "RECALLR_API_KEY": API_KEY}
        printed = CliRunner().invoke(app, ["users", "show", user], env=access)
        assert printed.exit_code == 0, printed.output
        assert f"profile             User lives in Bari. [{memory.memory_id}, " in printed.output
    finally:
        set_tokens(None)


def test_the_sdk_filters_and_sorts_what_was_learned(learning: Proxy, provider: Provider, user: str) -> None:
    person = sdk(learning).create_user(user, merge_conflict_enabled=True)
    rex = {"entities": [{"name": "Rex", "kind": "pet"}]}
    provider.answer(
        Answer(model=MEMORY_MODEL, when="with my dog Rex", text=lives("Chur with Rex", **rex, categories=["dogs"])),
        Answer(model=MEMORY_MODEL, when="Rex sleeps there", text=lives("Chur, where Rex sleeps", **rex)),
        Answer(model=MEMORY_MODEL, when="I live in Davos", text=lives("Davos")),
        Answer(model=MEMORY_MODEL, when="I live in Arosa", text=lives("Arosa")),
        Answer(model=MEMORY_MODEL, when="FACT 1", text=decides("contradiction")),
        Answer(model=MEMORY_MODEL, when="sleeps.\n  memory 1", text=decides("new")),
    )

    def said(text: str, channel: str, learned: Callable[[], int], number: int) -> str:
        session = person.create_session(metadata={"channel": channel})
        session.add_message(MessageRole.USER, text)
        session.process()
        eventually(learned, text, until=lambda found: found == number)
        return session.session_id

    def memories() -> int:
        return person.list_memories().total

    def conflicts() -> int:
        return person.list_merge_conflicts().total

    first = said("I live in Chur with my dog Rex.", "web", memories, 1)
    second = said("I live in Chur; Rex sleeps there.", "app", memories, 2)
    newest, oldest = person.list_memories().items
    assert [one.content for one in newest.connected_memories or []] == [oldest.content]
    assert [one.memory_id for one in oldest.connected_memories or []] == [newest.memory_id]
    for filters, found in (
        ({"categories": ["dogs"]}, [first]),
        ({"categories": ["dogs", "home"]}, [second, first]),
        ({"session_id_filter": [second]}, [second]),
        ({"session_id_filter": [first, second]}, [second, first]),
        ({"session_metadata_filter": {"channel": "web"}}, [first]),
        ({"session_metadata_filter": {"channel": "web"}, "session_id_filter": [second]}, []),
        ({"session_metadata_filter": {"channel": "app"}, "categories": ["dogs"]}, []),
    ):
        listed = person.list_memories(**filters)
        assert [one.session_id for one in listed.items] == found, filters
        assert (listed.total, listed.has_more) == (len(found), False)
    page = person.list_memories(offset=1, limit=1)
    assert ([one.memory_id for one in page.items], page.total, page.has_more) == ([oldest.memory_id], 2, False)
    assert person.list_memories(limit=1).has_more

    said("I live in Davos.", "web", conflicts, 1)
    said("I live in Arosa.", "web", conflicts, 2)
    by_text = {one.proposed_memory_content: one for one in person.list_merge_conflicts().conflicts}
    davos, arosa = by_text["User lives in Davos."], by_text["User lives in Arosa."]
    for conflict in (arosa, davos):  # the later one first
        disputed = person.get_memory(conflict.conflicting_memories[0].memory_id)
        assert disputed.merge_conflict_in_progress
        [question] = conflict.clarifying_questions
        conflict.resolve([MergeConflictAnswer(question=question.question, answer=question.options[1])])
        after = person.get_memory(disputed.memory_id)
        assert (conflict.status, after.content) == (MergeConflictStatus.RESOLVED, conflict.proposed_memory_content)
        settled = person.get_merge_conflict(conflict.conflict_id)  # the SDK takes these over only here
        assert [one.content for one in settled.new_memories or []] == [after.content]
        [*_, before] = after.previous_versions or []
        assert (before.content, before.merge_conflict_id) == (disputed.content, conflict.conflict_id)
    assert not any(one.merge_conflict_in_progress for one in person.list_memories().items)

    def ids(**options: Any) -> list[str]:
        return [one.conflict_id for one in person.list_merge_conflicts(**options).conflicts]

    a, d = arosa.conflict_id, davos.conflict_id
    assert ids(sort_by="created_at", sort_order="asc") == [d, a]
    assert ids(sort_by="created_at", sort_order="desc") == [a, d]
    assert ids(sort_by="resolved_at", sort_order="asc") == [a, d]
    assert ids(sort_by="resolved_at", sort_order="desc") == [d, a]
    assert ids(status=MergeConflictStatus.RESOLVED, limit=1, offset=1) == [d]
    assert ids(status=MergeConflictStatus.PENDING) == []


def recallr(proxy: Proxy, *arguments: str, status: int = 0, input: str | None = None, **access: str) -> str:
    """What a command beside the gateway prints."""
    environment = {
        "RECALLR_GATEWAY": proxy.url,
        "RECALLR_PROJECT_ID": access.get("project_id", PROJECT),
        "RECALLR_API_KEY": access.get("api_key", API_KEY),
        "COLUMNS": "200",
    }
    result = CliRunner().invoke(app, [*arguments], env=environment, input=input)
    assert result.exit_code == status, result.output
    return prose(result.output)


def test_people_correct_what_was_learned_by_commands(learning: Proxy, provider: Provider, user: str) -> None:
    provider.answer(
        Answer(model=MEMORY_MODEL, when="I live in Gent", text=lives("Gent")),
        Answer(model=MEMORY_MODEL, when="I moved to Lille", text=lives("Lille")),
        Answer(model=MEMORY_MODEL, when="FACT 1", text=decides("change")),
    )
    sdk(learning).create_user(user)
    assert "Nothing that was learned" in recallr(learning, "memories", "list", user)
    remember(learning, user, "I live in Gent.")
    person = sdk(learning).get_user(user)
    eventually(lambda: person.list_memories().total, "the first fact is learned", until=lambda total: total == 1)
    remember(learning, user, "I moved to Lille.")
    eventually(lambda: person.list_memories().items[0].total_versions, "the second too", until=lambda total: total == 2)
    [found] = json.loads(recallr(learning, "memories", "list", user, "--category", "home", "--json"))
    id, [first] = found["memory_id"], found["previous_versions"]
    assert f"{id} " in recallr(learning, "memories", "list", user)
    shown = recallr(learning, "memories", "show", user, id)
    assert "version 2 of 2" in shown
    assert "it changed User lives in Gent." in shown

    for method, body in (("PATCH", {"content": "User lives in Rome."}), ("DELETE", None)):
        assert call(learning, method, f"/users/{user}/memory/{id}?if_version=1", body=body).status_code == 409
    assert person.get_memory(id).content == "User lives in Lille.", "another version is current than was seen"
    assert "version 3 of 3, by hand" in recallr(learning, "memories", "edit", user, id, "User lives near Lille.")
    assert "pinned yes" in recallr(learning, "memories", "pin", user, id)
    assert "[pinned] User lives near Lille." in recallr(learning, "memories", "list", user)
    assert "pinned no" in recallr(learning, "memories", "unpin", user, id)
    reverted = json.loads(recallr(learning, "memories", "revert", user, id, first["memory_id"], "--json"))
    assert (reverted["content"], reverted["version_number"]) == ("User lives in Gent.", 4)
    assert "Memory nothing not found" in recallr(learning, "memories", "revert", user, id, "nothing", status=1)
    assert "content: " in recallr(learning, "memories", "edit", user, id, "", status=1)

    middle = reverted["previous_versions"][1]
    assert "Nothing was deleted." in recallr(
        learning, "memories", "delete", user, middle["memory_id"], status=1, input="n\n"
    )
    assert "User lives in Lille." in recallr(learning, "memories", "delete", user, middle["memory_id"], "--yes")
    left = person.get_memory(id)
    told = [(one.content, one.version_number) for one in left.previous_versions or []]
    assert told == [("User lives in Gent.", 1), ("User lives near Lille.", 2)]
    assert (left.content, left.version_number, left.total_versions) == ("User lives in Gent.", 3, 3)

    assert "true until " in recallr(learning, "memories", "invalidate", user, id)
    assert person.list_memories().total == 0
    assert "no longer true" in recallr(learning, "memories", "edit", user, id, "User lives on Mars.", status=1)
    recallr(learning, "memories", "delete", user, id, "--all", "--yes")
    assert f"Memory {id} not found" in recallr(learning, "memories", "show", user, id, status=1)


def test_a_conflict_is_answered_by_a_command_and_webhooks_tell_of_it(
    learning: Proxy, provider: Provider, webhooks: ReconifyEndpoint, user: str
) -> None:
    sdk(learning).create_user(user, merge_conflict_enabled=True)
    provider.answer(
        Answer(model=MEMORY_MODEL, when="My shoe size is 42", text=lives("shoes of size 42")),
        Answer(model=MEMORY_MODEL, when="My shoe size is 44", text=lives("shoes of size 44")),
        Answer(model=MEMORY_MODEL, when="FACT 1", text=decides("contradiction")),
    )
    remember(learning, user, "My shoe size is 42.")
    shown_to_be(learning, provider, user, "shoes of size 42")
    session = remember(learning, user, "My shoe size is 44.")

    def events() -> dict[str, dict[str, str]]:
        bodies = [one.body for one in webhooks.posted if one.body["data"].get("user_id") == user]
        return {body["type"]: body["data"] for body in bodies if body["type"].startswith("conflict.")}

    raised = eventually(events, "the webhook tells of the conflict")["conflict.raised"]
    listed = recallr(learning, "conflicts", "list", user)
    assert "pending User lives in shoes of size 42. User lives in shoes of size 44." in listed
    [conflict] = json.loads(recallr(learning, "conflicts", "list", user, "--json"))
    assert raised == {
        "project_id": PROJECT,
        "user_id": user,
        "session_id": session,
        "conflict_id": conflict["id"],
        "memory_id": conflict["conflicting_memories"][0]["memory_id"],
        "status": "PENDING",
    }
    unfit = recallr(learning, "conflicts", "answer", user, conflict["id"], "--answer", "43", status=1)
    assert "Invalid answer '43' for question" in unfit
    answered = recallr(learning, "conflicts", "answer", user, conflict["id"], input="9\n2\n")
    assert "Give a number from 1 to 2." in answered
    assert "Known now: User lives in shoes of size 44." in answered
    assert "No conflict waits" in recallr(learning, "conflicts", "list", user)
    assert " resolved " in recallr(learning, "conflicts", "list", user, "--all")
    assert "already resolved" in recallr(
        learning, "conflicts", "answer", user, conflict["id"], "--answer", "User lives in shoes of size 44.", status=1
    )
    told = eventually(events, "the webhook tells what came of it", until=lambda found: "conflict.resolved" in found)
    assert told["conflict.resolved"] == {**raised, "status": "RESOLVED"}
    [memory] = sdk(learning).get_user(user).list_memories().items
    [before] = memory.previous_versions or []
    assert (before.merge_conflict_id, before.expiration_reason) == (conflict["id"], "MERGE_CONFLICT")


def test_what_was_learned_goes_along_with_an_export_and_is_not_paid_for_again(
    learning: Proxy, provider: Provider, user: str
) -> None:
    provider.answer(Answer(model=MEMORY_MODEL, when="I live in Cork", text=lives("Cork")))
    remember(learning, user, "I live in Cork.")
    shown_to_be(learning, provider, user, "Cork")
    document = call(learning, "GET", f"/users/{user}/export").raise_for_status().json()
    [extraction] = document["extractions"]
    assert [fact["text"] for fact in extraction["facts"]] == ["User lives in Cork."]

    other, calls = f"{user}-moved", len(asked(provider))
    learned = metric(learning, "recallr_learning_sessions_total", outcome="learned")
    for _ in range(2):
        call(learning, "POST", f"/users/{other}/import", body=document).raise_for_status()
    eventually(
        lambda: metric(learning, "recallr_learning_sessions_total", outcome="learned") > learned,
        "the imported session is learned",
    )
    assert len(asked(provider)) == calls, "a model was asked again"
    memory, copied = (sdk(learning).get_user(one).list_memories().items for one in (user, other))
    assert [one.content for one in copied] == [one.content for one in memory]
    there = call(learning, "GET", f"/users/{other}/export").raise_for_status().json()
    assert there["extractions"] == document["extractions"]


def test_what_was_processed_without_learning_is_learned_by_a_command(
    learning: Proxy, provider: Provider, user: str
) -> None:
    def admin(method: str, path: str, body: object) -> Any:
        headers = {"Authorization": f"Bearer {learning.master_key}"}
        url = f"{learning.url}/api/v1/admin/projects{path}"
        answer = httpx.request(method, url, json=body, headers=headers, trust_env=False, timeout=60)
        return answer.raise_for_status().json()

    project = f"project-{user}"
    admin("POST", "", {"project_id": project, "settings": {"learning": False}})
    access = {"project_id": project, "api_key": admin("POST", f"/{project}/keys", {"name": "test"})["api_key"]}
    provider.answer(
        Answer(model=MEMORY_MODEL, when="I live in Hilo", text=lives("Hilo")),
        Answer(model=MEMORY_MODEL, when="I moved to Kona", text=lives("Kona")),
        Answer(model=MEMORY_MODEL, when="FACT 1", text=decides("change")),
    )
    for name in (user, f"{user}-2"):
        for text in ("I live in Hilo.", "I moved to Kona."):
            said = learning.ask(name, text, session_timeout_seconds=1, **access)
            Memory(learning).wait_processed(name, said.session_id, project=project)
    assert "switched off for the project" in recallr(learning, "learn", "--all", status=1, **access)
    admin("PATCH", f"/{project}", {"learning": True})
    eventually(lambda: recallr(learning, "memories", "list", user, **access), "the worker knows the project")
    assert asked(provider, "I live in Hilo") == []

    assert "User nobody not found" in recallr(learning, "learn", "--user", "nobody", status=1, **access)
    assert "name one of" in recallr(learning, "learn", status=2, **access)
    said = recallr(learning, "learn", "--all", "--estimate", **access)
    assert f"4 sessions of 2 users, by {MEMORY_MODEL}: about " in said
    assert "Nothing was queued." in recallr(learning, "learn", "--user", user, status=1, input="n\n", **access)
    assert asked(provider, "I live in Hilo") == []
    recallr(learning, "learn", "--user", user, "--yes", **access)
    person = sdk(learning, api_key=access["api_key"], project=project).get_user(user)
    [memory] = person.list_memories().items
    assert (memory.content, memory.total_versions) == ("User lives in Kona.", 2)
    assert "2 sessions of 1 users" in recallr(learning, "learn", "--all", "--yes", **access)
    assert "All processed sessions are learned." in recallr(learning, "learn", "--all", **access)
    assert len(asked(provider, "TARGET")) == 4, "each session is extracted once"


def test_a_learn_command_that_is_stopped_leaves_the_gateway_learning(
    learning: Proxy, provider: Provider, user: str, tmp_path: Path
) -> None:
    provider.answer(Answer(model=MEMORY_MODEL, when="I live in Pau", text=lives("Pau"), hang=True))
    access = {"RECALLR_GATEWAY": learning.url, "RECALLR_PROJECT_ID": PROJECT, "RECALLR_API_KEY": API_KEY}
    remember(learning, user, "I live in Pau.")
    with Running("learn", "--user", user, "--yes", folder=tmp_path, environment=access) as command:
        eventually(lambda: "1 sessions of 1 users" in command.output and asked(provider, "I live in Pau"), "it waits")
        command.signal(signal.SIGINT)
        assert command.wait() == 130, command.output
        assert "The gateway goes on learning what was queued." in prose(command.output)
    provider.release()
    shown_to_be(learning, provider, user, "Pau")


GOOD = lives("TOWN")
ONE = GOOD.removeprefix('{"facts": [').removesuffix("]}")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("town", "answers", "known", "calls"),
    [
        ("Ghent", [Answer(text="The user seems to be a nice person.")], 0, 2),
        ("Malmo", [Answer(text="I'm sorry, but I can't help with that.")], 0, 2),
        ("Turku", [Answer(status=400, message="content policy")], 0, 15),
        ("Split", [Answer(text='{"facts": [' + ", ".join([ONE] * 30), finish_reason="length")], 1, 1),
        ("Siena", [Answer(text='{"facts": [' + ONE + ', {"text": "User', finish_reason="length")], 1, 15),
        ("Delft", [Answer(text=lives("TOWN", evidence=[99]))], 0, 1),
        ("Leeds", [Answer(text="<think>A {braced} thought.</think>```json\n" + GOOD + "\n```")], 1, 1),
        ("Namur", [Answer(status=408, times=1), Answer(text=GOOD)], 1, 3),
        ("Varna", [Answer(status=503, times=2), Answer(text=GOOD)], 1, 3),
        ("Emden", [Answer(text='{"facts": []}')], 0, 1),
    ],
    ids="garbage no refused loops truncated wrong thinks slow outage nothing".split(),
)
def test_whatever_the_model_answers_a_session_is_recalled_and_its_cost_is_bounded(
    learning: Proxy,
    provider: Provider,
    user: str,
    town: str,
    answers: list[Answer],
    known: int,
    calls: int,
) -> None:
    for one in answers:
        text = one.text and one.text.replace("TOWN", town)
        provider.answer(one.model_copy(update={"model": MEMORY_MODEL, "when": f"I live in {town}", "text": text}))
    remember(learning, user, f"I live in {town}.")
    waiting = f"/users/{user}/learning"
    eventually(lambda: call(learning, "GET", waiting).json()["unlearned"] == 0, "its session is learned")
    assert f"I live in {town}." in block_for(learning, provider, user, "Where do I live?") or known
    memories = sdk(learning).get_user(user).list_memories().items
    assert [one.content for one in memories] == [f"User lives in {town}."] * known
    made = len(asked(provider, f"I live in {town}"))
    assert 1 <= made <= calls
