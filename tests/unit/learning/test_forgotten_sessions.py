"""A session is deleted: what rests on it alone goes, what other sessions say too stays, in their words."""

from __future__ import annotations

import json
from typing import Any

import pytest

from recallr_litellm.core.knowledge import Reason
from recallr_litellm.learning.extracting import Rules
from recallr_litellm.learning.forgetting import forget_session
from recallr_litellm.learning.versions import edited
from tests.unit.learning.conftest import World
from tests.unit.learning.kit import OWNER, at


def lives(text: str) -> dict[str, Any]:
    return {"text": text, "attribute": "home"}


async def forgotten(world: World, *sessions: str) -> list[tuple[str, tuple[str, ...], str]]:
    """What is left once these sessions are deleted: (text, messages, session), oldest first. Nothing is quoted
    anywhere."""
    for session in (*sessions, *sessions):  # as it is done: once more later
        await forget_session(world.learner._knowing, OWNER, session)
    for session in ("s1", "s2", "s3"):
        await world.learner.learn(OWNER, session)
    left = await world.memories()
    quoted = json.dumps([one.model_dump(mode="json") for one in (*left, *await world.vectors.extractions(OWNER))])
    for session in sessions:
        assert f"{session}-0" not in quoted
        assert f'"{session}"' not in quoted
    return [(one.content, one.sources, one.session) for one in left]


async def told_twice(world: World) -> None:
    world.model.says({"Porto": [lives("User lives in Porto.")], "city": [lives("User lives in Porto!")]})
    await world.learned("s1", "user: I live in Porto.", day="2025-05-01")
    await world.learned("s2", "user: My city is Porto still.", day="2025-06-01")
    assert [one.sources for one in await world.memories()] == [("s1-0", "s2-0")]


async def test_what_another_session_says_too_stays_without_the_deleted_evidence(world: World) -> None:
    await told_twice(world)
    assert await forgotten(world, "s2") == [("User lives in Porto.", ("s1-0",), "s1")]


async def test_what_another_session_says_too_stays_in_its_words(world: World) -> None:
    await told_twice(world)
    [(text, sources, session)] = await forgotten(world, "s1")
    assert text in ("User lives in Porto!", "User lives in Porto.")
    assert (sources, session) == (("s2-0",), "s2")
    assert await forgotten(world, "s2") == []


async def moved(world: World) -> None:
    places = ("Porto", "Lisbon", "Rome")
    world.model.says({place: [lives(f"User lives in {place}.")] for place in places})
    world.model.decides({"Lisbon": ("change", "Porto"), "Rome": ("change", "Lisbon")})
    for number, place in enumerate(places, 1):
        await world.learned(f"s{number}", f"user: I live in {place}.", day=f"2025-0{4 + number}-01")


@pytest.mark.parametrize(
    ("session", "left"),
    [("s1", ["Lisbon", "Rome"]), ("s2", ["Porto", "Rome"]), ("s3", ["Porto", "Lisbon"])],
)
async def test_versions_before_and_after_stay_as_one_chain(world: World, session: str, left: list[str]) -> None:
    await moved(world)
    assert [text for text, _, _ in await forgotten(world, session)] == [f"User lives in {place}." for place in left]
    first, last = await world.memories()
    assert (first.chain, first.expired_at, first.reason) == (last.id, last.created_at, Reason.INITIAL)
    assert (last.chain, last.expired_at) == ("", None)


@pytest.mark.parametrize(
    ("session", "left"),
    [
        ("s1", ["User has a dog, Rex.", "User has a dog, Rex. User has a cat, Ida."]),
        ("s2", ["User lives with Ana.", "User lives with Ana. User has a cat, Ida."]),
        ("s3", ["User lives with Ana.", "User lives with Ana. User has a dog, Rex."]),
    ],
)
async def test_what_was_added_to_is_made_of_what_is_left(world: World, session: str, left: list[str]) -> None:
    texts = {"Ana": "User lives with Ana.", "Rex": "User has a dog, Rex.", "Ida": "User has a cat, Ida."}
    world.model.says({name: [{"text": text, "attribute": "family"}] for name, text in texts.items()})
    world.model.decides({"Rex": ("addition", "Ana"), "Ida": ("addition", "Ana")})
    for number, name in enumerate(texts, 1):
        await world.learned(f"s{number}", f"user: {name}!", day=f"2025-0{4 + number}-01")
    assert [one.content for one in await world.memories()][-1] == " ".join(texts.values())
    assert [text for text, _, _ in await forgotten(world, session)] == left


async def test_what_a_person_wrote_stays_where_another_session_backs_it(world: World) -> None:
    await told_twice(world)
    [memory] = await world.memories()
    knowing = world.learner._knowing
    day = at("2025-08-01")
    await knowing.change(OWNER, memory.id, lambda one, _: edited(one or memory, "User lives in Faro.", day))
    assert [text for text, _, _ in await forgotten(world, "s1")][-1] == "User lives in Faro."
    assert await forgotten(world, "s2") == []


@pytest.mark.parametrize("session", ["s1", "s2"])
async def test_of_a_contradiction_the_other_side_is_left(world: World, session: str) -> None:
    world.rules = Rules(conflicts=True)
    doses = ("10 mg", "20 mg")
    world.model.says({dose: [{"text": f"User takes {dose}.", "attribute": "medication"}] for dose in doses})
    world.model.decides({"20 mg": ("contradiction", "10 mg")})
    await world.learned("s1", "user: I take 10 mg.", day="2025-05-01")
    await world.learned("s2", "user: I take 20 mg.", day="2025-05-02")
    assert len(await world.vectors.conflicts(OWNER)) == 1
    stays = {"s1": "20 mg", "s2": "10 mg"}[session]
    assert [text for text, _, _ in await forgotten(world, session)] == [f"User takes {stays}."]
    assert await world.vectors.conflicts(OWNER) == []
    assert [one.conflict for one in await world.memories()] == [None]
