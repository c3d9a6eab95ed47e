"""What people set right: edits, versions, deletions, answers to conflicts. Learning respects it."""

from __future__ import annotations

import asyncio
import json
from typing import cast

import pytest

from recallr_litellm.core.knowledge import Answer, ConflictStatus
from recallr_litellm.core.laid import LaidBlock
from recallr_litellm.core.owner import Owner, Project
from recallr_litellm.errors import ConflictNotFound, InvalidAnswers, MemoryNotFound
from recallr_litellm.learning.extracting import Rules
from recallr_litellm.learning.reconciling import Knowing
from recallr_litellm.services.conflicts import Conflicts
from recallr_litellm.services.memories import Memories
from recallr_litellm.services.sessions import SessionService
from recallr_litellm.stores.state import ExplainedRequest
from tests.unit.learning.conftest import World
from tests.unit.learning.kit import OWNER

OTHER = Owner(OWNER.project, "other")
NO_SESSIONS = cast(SessionService, None)


def knowing(world: World) -> Knowing:
    return Knowing(world.vectors, world.learner._embedder, world.learner._sparse)


@pytest.fixture
def memories(world: World) -> Memories:
    return Memories(
        world.state, world.vectors, NO_SESSIONS, knowing(world), forget_explained=world.state.forget_explained
    )


@pytest.fixture
def conflicts(world: World) -> Conflicts:
    return Conflicts(world.vectors, knowing(world), world.model)


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
            len(await world.state.load_blocks(owner, "s9")),
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
