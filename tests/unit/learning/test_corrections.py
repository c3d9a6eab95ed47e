"""What people set right: edits, versions, deletions, answers to conflicts. Learning respects it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import cast

import pytest

from recallr_litellm.core.facts import Fact
from recallr_litellm.core.knowledge import Answer, ClarifyingQuestion, ConflictStatus
from recallr_litellm.core.laid import LaidBlock
from recallr_litellm.core.owner import Owner, Project
from recallr_litellm.core.records import Passage
from recallr_litellm.errors import ConflictNotFound, InvalidAnswers, MemoryNotFound
from recallr_litellm.learning.duplicates import Known
from recallr_litellm.learning.extracting import Rules
from recallr_litellm.learning.knowing import Knowing
from recallr_litellm.learning.model import Written
from recallr_litellm.memory.budget import TokenBudget
from recallr_litellm.services.conflicts import Conflicts
from recallr_litellm.services.memories import Memories
from recallr_litellm.services.sessions import SessionService
from recallr_litellm.stores.state import ExplainedRequest
from recallr_litellm.stores.state.forgetting import ForgettingQueue
from tests.unit.learning.conftest import World
from tests.unit.learning.kit import OWNER
from tests.unit.stores.state_kit import kept_blocks

OTHER = Owner(OWNER.project, "other")
NO_SESSIONS = cast(SessionService, None)


@pytest.fixture
def memories(world: World) -> Memories:
    return Memories(NO_SESSIONS, world.learner._knowing, forget_explained=world.state.forget_explained)


@pytest.fixture
def conflicts(world: World) -> Conflicts:
    return Conflicts(world.learner._knowing, world.model, TokenBudget(world.state, lambda _: None))


def place(name: str) -> dict[str, object]:
    return {"text": f"User lives in {name}.", "attribute": "home"}


async def moved(world: World) -> str:
    """A user who moved from Porto to Rome. Returns the id of the memory."""
    world.model.says({"Porto": [place("Porto")], "Rome": [place("Rome")], "Oslo": [place("Oslo")]})
    world.model.decides({"Rome": ("change", "Porto"), "Oslo": ("change", "lives in")})
    await world.learned("s1", "user: I live in Porto.", day="2025-05-01")
    await world.learned("s2", "user: I moved to Rome.", day="2025-06-01")
    [memory] = [one for one in await world.memories() if one.expired_at is None]
    return memory.id


async def test_an_edit_is_a_version_that_learning_does_not_overwrite(world: World, memories: Memories) -> None:
    id = await moved(world)
    found = await memories.edit(OWNER, id, "User lives in Faro.")
    assert (found.memory.content, found.number, found.total) == ("User lives in Faro.", 3, 3)
    await world.learned("s3", "user: I live in Oslo.", day="2025-07-01")
    assert await world.current() == ["User lives in Faro."]
    assert [one.content for one in await world.vectors.conflicts(OWNER)] == ["User lives in Oslo."]


async def test_a_memory_says_again_what_an_earlier_version_said(world: World, memories: Memories) -> None:
    id = await moved(world)
    [first] = (await memories.get(OWNER, id)).previous
    found = await memories.revert(OWNER, id, first.id)
    assert found.memory.content == "User lives in Porto."
    assert [one.content for one in found.previous] == ["User lives in Porto.", "User lives in Rome."]
    with pytest.raises(MemoryNotFound):
        await memories.revert(OWNER, id, "0" * 32)


async def test_what_is_invalid_is_no_longer_current_and_cannot_be_edited(world: World, memories: Memories) -> None:
    id = await moved(world)
    await memories.invalidate(OWNER, id)
    assert await world.current() == []
    with pytest.raises(MemoryNotFound):
        await memories.edit(OWNER, id, "User lives in Faro.")


async def test_what_is_pinned_stays_until_the_user_has_answered(world: World, memories: Memories) -> None:
    id = await moved(world)
    assert (await memories.pin(OWNER, id, pinned=True)).memory.pinned
    await world.learned("s3", "user: I live in Oslo.", day="2025-07-01")
    assert await world.current() == ["User lives in Rome."]


async def test_of_a_deleted_version_the_one_before_holds_again(world: World, memories: Memories) -> None:
    id = await moved(world)
    await memories.delete(OWNER, id, previous=False)
    assert await world.current() == ["User lives in Porto."]
    assert await world.history() == []


@pytest.mark.parametrize("again", ["s1", "s2"])
async def test_a_deleted_memory_stays_deleted_when_its_session_is_learned_again(
    world: World, memories: Memories, again: str
) -> None:
    id = await moved(world)
    await memories.delete(OWNER, id, previous=True)
    assert await world.memories() == []
    await world.learner.learn(OWNER, again)
    assert await world.memories() == []
    kept = [one for id in ("s1", "s2") for one in await world.vectors.extractions(OWNER, id)]
    assert "Porto" not in json.dumps([one.model_dump(mode="json") for one in kept])
    assert "Rome" not in json.dumps([one.model_dump(mode="json") for one in kept])


@pytest.mark.parametrize("previous", [False, True])
async def test_what_was_shown_and_explained_of_a_deleted_memory_goes_with_it(
    world: World, memories: Memories, previous: bool
) -> None:
    id = await moved(world)
    for owner in (OWNER, OTHER):
        await world.state.create(owner, "s9", timeout_seconds=600, metadata={})
        await world.state.lay_block(owner, "s9", LaidBlock("r", "e", "turn", "Rome"), most_bytes=1_000)
        request = ExplainedRequest(owner.user, owner.project, owner, "{}", "Rome")
        await world.state.keep_explained([request], most=10, most_bytes=1_000, seconds=600)
    await memories.delete(OWNER, id, previous=previous)
    left = [
        (
            len(await kept_blocks(world.state, owner, "s9")),
            await world.state.explained(Project(owner.project), owner.user, seconds=600),
        )
        for owner in (OWNER, OTHER)
    ]
    assert left == [(0, None), (1, "Rome")]


async def in_conflict(world: World) -> str:
    """A user whose dose is in doubt. Returns the id of the conflict."""
    world.rules = Rules(conflicts=True)
    doses = {dose: [{"text": f"User takes {dose}.", "attribute": "medication"}] for dose in ("10 mg", "20 mg")}
    world.model.says(doses)
    world.model.decides({"20 mg": ("contradiction", "10 mg")})
    await world.learned("s1", "user: My dose is 10 mg.", day="2025-05-01")
    await world.learned("s2", "user: My dose is 20 mg.", day="2025-05-01 18:00")
    [conflict] = await world.vectors.conflicts(OWNER)
    return conflict.id


@pytest.mark.parametrize(
    ("answer", "current"), [("User takes 20 mg.", "User takes 20 mg."), ("User takes 10 mg.", "User takes 10 mg.")]
)
async def test_the_users_answer_settles_a_conflict(
    world: World, conflicts: Conflicts, answer: str, current: str
) -> None:
    id = await in_conflict(world)
    [question] = (await conflicts.get(OWNER, id)).conflict.questions
    found = await conflicts.resolve(OWNER, id, [Answer(question=question.question, answer=answer)])
    assert found.conflict.status is ConflictStatus.RESOLVED
    assert await world.current() == [current]
    assert all(memory.conflict is None for memory in await world.memories() if memory.expired_at is None)
    given = found.conflict.answers
    assert (await conflicts.resolve(OWNER, id, given, repeatable=True)).conflict == found.conflict
    with pytest.raises(InvalidAnswers, match="already resolved"):
        await conflicts.resolve(OWNER, id, [Answer(question=question.question, answer=answer)])


@pytest.mark.parametrize(
    ("answer", "before"),
    [("User takes 20 mg.", "User takes 10 mg."), ("User takes 10 mg.", "User takes 10 mg.")],
    ids=["the new one", "the known one"],
)
async def test_a_settled_conflict_tells_what_became_of_it_then_whatever_is_true_now(
    world: World, conflicts: Conflicts, memories: Memories, answer: str, before: str
) -> None:
    id = await in_conflict(world)
    [question] = (await conflicts.get(OWNER, id)).conflict.questions
    await conflicts.resolve(OWNER, id, [Answer(question=question.question, answer=answer)])
    [memory] = [one for one in await world.memories() if one.expired_at is None]
    await memories.edit(OWNER, memory.id, "User takes 30 mg.")
    [found], _ = await conflicts.page(OWNER, offset=0, limit=10)
    assert (found.memory and found.memory.content, found.became and found.became.content) == (before, answer)


@pytest.mark.parametrize(
    ("answers", "text"),
    [
        ([], "Missing answers for the following questions"),
        ([Answer(question="Why?", answer="So.")], "Invalid questions provided"),
        ([Answer(question="Which of these is true now?", answer="Neither")], "Invalid answer 'Neither' for question"),
    ],
)
async def test_answers_must_fit_the_questions(
    world: World, conflicts: Conflicts, answers: list[Answer], text: str
) -> None:
    id = await in_conflict(world)
    with pytest.raises(InvalidAnswers, match=text):
        await conflicts.resolve(OWNER, id, answers)
    assert (await conflicts.get(OWNER, id)).conflict.status is ConflictStatus.PENDING


async def test_conflicts_of_others_are_unknown_and_lists_are_paged(world: World, conflicts: Conflicts) -> None:
    id = await in_conflict(world)
    other = type(OWNER)("p", "bob")
    with pytest.raises(ConflictNotFound):
        await conflicts.get(other, id)
    assert await conflicts.page(other, offset=0, limit=10) == ([], 0)
    found, total = await conflicts.page(OWNER, offset=0, limit=10, status=ConflictStatus.PENDING)
    assert ([one.conflict.id for one in found], total) == ([id], 1)
    assert await conflicts.page(OWNER, offset=0, limit=10, status=ConflictStatus.RESOLVED) == ([], 0)


async def test_what_is_deleted_while_its_session_is_learned_does_not_come_back(
    world: World, memories: Memories
) -> None:
    first = {"text": "User has a cat named Ida.", "attribute": "pet"}
    second = {"text": "User's cat Ida is ill.", "subject": "user", "attribute": "pet"}
    world.model.says({"cat": [first, second]})

    def deleting(_name: str, _text: str) -> str:
        deleted.set()
        return json.dumps({"decisions": []})

    deleted, done = asyncio.Event(), asyncio.Event()
    plain = world.model.__class__.__call__

    async def slow(self: object, *args: object, **options: object) -> object:
        answer = await plain(self, *args, **options)  # type: ignore[arg-type]
        if deleted.is_set():
            await done.wait()
        return answer

    world.model.decisions = deleting
    world.learner._write = lambda *args, **options: slow(world.model, *args, **options)  # type: ignore[assignment, method-assign]
    learning = asyncio.create_task(world.learned("s1", "user: My cat Ida is ill.", day="2025-05-01"))
    await deleted.wait()
    [memory] = await world.memories()
    await memories.delete(OWNER, memory.id, previous=True)
    done.set()
    await learning
    kept = [one.model_dump_json() for one in await world.vectors.extractions(OWNER, "s1")]
    assert "named Ida" not in "".join(kept)
    assert "User has a cat named Ida." not in await world.current()


def held_up(world: World) -> tuple[asyncio.Event, asyncio.Event]:
    """Have the model hold back its answers about what is known. Returns what tells that it was asked, and what lets it
    answer."""
    asked, go_on = asyncio.Event(), asyncio.Event()
    model = world.model

    async def slow(messages: object, schema: object, *, name: str, max_tokens: int) -> object:
        answer = await model(messages, schema, name=name, max_tokens=max_tokens)  # type: ignore[arg-type]
        if name != "facts":
            asked.set()
            await go_on.wait()
        return answer

    world.learner._write = slow  # type: ignore[assignment]
    return asked, go_on


async def test_an_edit_while_the_model_thinks_is_not_overwritten(world: World, memories: Memories) -> None:
    id = await moved(world)
    asked, go_on = held_up(world)
    learning = asyncio.create_task(world.learned("s3", "user: I live in Oslo.", day="2025-07-01"))
    await asked.wait()
    await memories.edit(OWNER, id, "User lives in Faro.")
    go_on.set()
    await learning
    assert await world.current() == ["User lives in Faro."]
    assert [one.content for one in await world.vectors.conflicts(OWNER)] == ["User lives in Oslo."]


async def test_an_edit_at_the_moment_of_writing_is_not_overwritten(
    world: World, memories: Memories, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A person edits after the learner has read the memory and before it writes."""
    id = await moved(world)
    embed, of_fact = Knowing.embed, 0

    async def edited_first(knowing: Knowing, texts: Sequence[str]) -> list[Passage | None]:
        nonlocal of_fact
        of_fact += "User lives in Oslo." in texts
        if of_fact == 1:
            of_fact += 1
            await memories.edit(OWNER, id, "User lives in Faro.")
        return await embed(knowing, texts)

    await world.remember("s3", "user: I live in Oslo.", day="2025-07-01")
    asked, go_on = held_up(world)
    learning = asyncio.create_task(world.learner.learn(OWNER, "s3"))
    await asked.wait()
    monkeypatch.setattr(Knowing, "embed", edited_first)
    go_on.set()
    await learning
    assert of_fact == 2
    assert await world.current() == ["User lives in Faro."]
    assert await world.history() == ["User lives in Porto.", "User lives in Rome."]


async def test_a_memory_that_is_only_connected_keeps_its_edit(
    world: World, memories: Memories, monkeypatch: pytest.MonkeyPatch
) -> None:
    rex = {"entities": [{"name": "Rex", "kind": "pet"}]}
    world.model.says(
        {
            "dog": [{"text": "User has a dog named Rex.", "attribute": "pet", **rex}],
            "vet": [{"text": "Rex was at the vet.", "subject": "Rex", "attribute": "health", **rex}],
        }
    )
    await world.learned("s1", "user: My dog is Rex.", day="2025-05-01")
    [dog] = await world.memories()
    near = Knowing.near
    edits: list[Fact] = []

    async def edited_first(knowing: Knowing, owner: Owner, fact: Fact) -> list[Known]:
        found = await near(knowing, owner, fact)
        if not edits:
            edits.append(fact)
            await memories.edit(OWNER, dog.id, "User has a cat named Rex.")
        return found

    monkeypatch.setattr(Knowing, "near", edited_first)
    await world.learned("s2", "user: We were at the vet with Rex.", day="2025-05-02")
    found = await memories.get(OWNER, dog.id)
    assert (found.memory.content, len(found.connected)) == ("User has a cat named Rex.", 1)


async def test_a_version_by_hand_gets_the_evidence_of_who_says_the_same(world: World, memories: Memories) -> None:
    id = await moved(world)
    await memories.edit(OWNER, id, "User lives in Oslo.")
    await world.learned("s3", "user: I live in Oslo.", day="2025-07-01")
    found = (await memories.get(OWNER, id)).memory
    assert (found.content, found.sources[-1], found.conflict) == ("User lives in Oslo.", "s3-0", None)


@pytest.mark.parametrize("again", ["s1", "s2", "s3"])
async def test_what_is_invalid_is_not_revived_when_its_sessions_are_learned_again(
    world: World, memories: Memories, again: str
) -> None:
    id = await moved(world)
    await world.learned("s3", "user: Yes, I moved to Rome.", day="2025-07-01")
    await memories.invalidate(OWNER, id)
    await world.learner.learn(OWNER, again)
    assert await world.current() == []
    assert await world.history() == ["User lives in Porto.", "User lives in Rome."]


@pytest.mark.parametrize(("day", "current"), [("2025-06-15", []), ("2100-01-01", ["User lives in Rome."])])
async def test_what_was_said_before_a_person_ended_it_does_not_revive_it(
    world: World, memories: Memories, day: str, current: list[str]
) -> None:
    """A session that waited to be learned; one that was held later may say that it is so again."""
    id = await moved(world)
    await memories.invalidate(OWNER, id)
    await world.learned("s3", "user: As I said, I moved to Rome.", day=day)
    assert await world.current() == current


async def test_what_was_said_before_a_person_corrected_it_is_no_question(world: World, memories: Memories) -> None:
    world.rules = Rules(conflicts=True)
    world.model.decides({"Rome": ("change", "lives in")})
    id = await moved(world)
    await memories.edit(OWNER, id, "User lives in Faro.")
    world.model.decides({"Rome": ("change", "Faro")})
    await world.learned("s3", "user: I moved to Rome, as you know.", day="2025-06-15")
    assert await world.current() == ["User lives in Faro."]
    assert await world.vectors.conflicts(OWNER) == []
    told = {one.content: one.sources for one in await world.memories()}
    assert told["User lives in Rome."] == ("s2-0", "s3-0")


@pytest.mark.parametrize("number", [1, 2, 3])
async def test_one_version_is_deleted_and_learning_does_not_bring_it_back(
    world: World, memories: Memories, number: int
) -> None:
    id = await moved(world)
    await world.learned("s3", "user: I live in Oslo.", day="2025-07-01")
    versions = [*(await memories.get(OWNER, id)).previous, (await memories.get(OWNER, id)).memory]
    await memories.delete(OWNER, versions[number - 1].id, previous=False)
    left = [one.content for one in versions if one is not versions[number - 1]]
    for session in ("s1", "s2", "s3"):
        await world.learner.learn(OWNER, session)
    found = await memories.get(OWNER, id)
    assert [one.content for one in (*found.previous, found.memory)] == left
    assert [one.expired_at for one in found.previous] == [found.memory.created_at]
    assert (found.number, found.total, found.memory.expired_at) == (2, 2, None)


async def test_a_settled_conflict_is_not_raised_again_by_learning_its_session_again(
    world: World, conflicts: Conflicts
) -> None:
    id = await in_conflict(world)
    [question] = (await conflicts.get(OWNER, id)).conflict.questions
    await conflicts.resolve(OWNER, id, [Answer(question=question.question, answer="User takes 10 mg.")])
    await world.learner.learn(OWNER, "s2")
    [memory] = await world.memories()
    assert (memory.content, memory.conflict) == ("User takes 10 mg.", None)


async def test_who_is_forgotten_while_a_conflict_is_settled_stays_forgotten(world: World, conflicts: Conflicts) -> None:
    id = await in_conflict(world)
    found = await conflicts.get(OWNER, id)
    forgotten = asyncio.Event()

    async def forgetting(*_: object, **__: object) -> Written:
        await ForgettingQueue(world.state.link, timeout_seconds=60).begin(OWNER, lease_seconds=60)
        await world.vectors.delete_all_of(OWNER)
        forgotten.set()
        return Written('{"resolutions": [{"outcome": "other", "text": "User takes 15 mg."}]}')

    asking = found.conflict.model_copy(update={"questions": (ClarifyingQuestion(question="How much?"),)})
    await world.vectors.put_conflict(OWNER, asking)
    conflicts._write = forgetting
    with pytest.raises(ConflictNotFound):
        await conflicts.resolve(OWNER, id, [Answer(question="How much?", answer="In between.")])
    assert forgotten.is_set()
    assert await world.memories() == []
    assert await world.vectors.conflicts(OWNER) == []


async def test_an_edit_while_a_conflict_is_settled_is_what_is_settled(
    world: World, conflicts: Conflicts, memories: Memories
) -> None:
    id = await in_conflict(world)
    [memory] = await world.memories()
    texts = iter(["User takes 11 mg."])
    known: list[str] = []

    async def editing(messages: Sequence[dict[str, object]], *_: object, **__: object) -> Written:
        known.append(str(messages[-1]["content"]))
        for text in texts:
            await memories.edit(OWNER, memory.id, text)
        return Written('{"resolutions": [{"outcome": "known", "text": ""}]}')

    found = (await conflicts.get(OWNER, id)).conflict
    asking = found.model_copy(update={"questions": (ClarifyingQuestion(question="How much?"),)})
    await world.vectors.put_conflict(OWNER, asking)
    conflicts._write = editing
    await conflicts.resolve(OWNER, id, [Answer(question="How much?", answer="As it was.")])
    assert await world.current() == ["User takes 11 mg."]
    assert len(known) == 2
    assert "11 mg" in known[1], "asked again about the memory as it is now"


async def test_a_deleted_memory_takes_its_conflict_along(
    world: World, conflicts: Conflicts, memories: Memories
) -> None:
    await in_conflict(world)
    [memory] = await world.memories()
    await memories.delete(OWNER, memory.id, previous=True)
    await world.learner.learn(OWNER, "s2")
    assert await world.memories() == []
    assert await conflicts.page(OWNER, offset=0, limit=10) == ([], 0)
