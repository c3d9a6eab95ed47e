"""Memories are written under the session that they came from, found beside passages, and read by their ids."""

from typing import Any

import pytest

from recallr_litellm.core.knowledge import Attribute
from recallr_litellm.core.records import Memory, Passage
from recallr_litellm.stores.vectors import Engine, VectorStore
from recallr_litellm.stores.vectors.schema import Kind
from tests.unit.stores.vectors.vector_samples import (
    ADA,
    BOB,
    NO_TERMS,
    START,
    count,
    passage,
    session,
    stored,
    terms,
    towards,
    turn,
)

HALF_PRECISION = 2e-3


def memory(number: int, content: str = "a fact", *, of: str = "s1", connected: tuple[int, ...] = ()) -> Memory:
    return Memory(
        id=name(number),
        content=content,
        created_at=START + number,
        session=of,
        connected=tuple(map(name, connected)),
    )


def name(number: int) -> str:
    return f"{number:032x}"


def indexed(*memories: Memory) -> list[tuple[Memory, Passage]]:
    return [(one, passage(one.content)) for one in memories]


async def test_a_memory_comes_back_as_it_was_saved(store: VectorStore) -> None:
    full = Memory(
        id=name(1),
        content="Ada moved to Oslo — ü 🦜",
        categories=("home", "travel"),
        event_start=START - 5,
        event_end=START + 5,
        created_at=START,
        session="s1",
        sources=("m1", "m2"),
        connected=(name(2),),
    )
    bare = Memory(id=name(2), content="x", created_at=0, session="s2")
    await store.save_memories(ADA, [(full, passage("any")), (bare, passage("any"))])
    assert await store.get_memories(ADA, [name(2), name(9), name(1), name(2)]) == [bare, full], "in the order asked for"
    assert await store.get_memories(ADA, [name(1), name(2)], exclude_sessions={"s1"}) == [bare]
    assert await store.get_memories(ADA, []) == []


async def test_memories_are_found_with_passages_and_summaries_by_meaning_and_words(store: VectorStore) -> None:
    said = passage("a passage", 0, sparse=terms(1))
    await store.save_session(ADA, session(summary="a summary"), [turn(stored(0), said)], passage("a summary"))
    near = Memory(
        id=name(1),
        content="near",
        created_at=START + 1,
        event_start=3,
        event_end=4,
        session="s1",
        sources=("m0",),
        connected=(name(2),),
    )
    far = memory(2, "far")
    await store.save_memories(ADA, [(near, passage("near", 1)), (far, passage("far", 1, lean=2.0, sparse=terms(7)))])

    passages, summaries, memories, *_ = await store.search(ADA, towards(1), terms(7), exclude_sessions=())

    assert [hit.text for hit in passages] == ["a passage"]
    assert [hit.summary for hit in summaries] == ["a summary"]
    assert [hit.content for hit in memories] == ["near", "far"]
    assert memories[0][:8] == (name(1), "s1", START + 1, 3, 4, ("m0",), (name(2),), "near")
    assert memories[0].dense == pytest.approx(1.0, abs=HALF_PRECISION)
    assert memories[0].bm25 == 0.0
    assert memories[1].dense == pytest.approx(float(towards(1) @ towards(1, 2.0)), abs=HALF_PRECISION)
    assert memories[1].bm25 > 0


async def test_memories_are_no_messages_of_their_session(store: VectorStore, engine: Engine) -> None:
    await store.save_session(ADA, session(), [turn(stored(0), passage("said"))], None)
    await store.save_memories(ADA, indexed(memory(1)))
    assert len(await store.read_messages(ADA, "s1")) == 1
    assert await count(engine, ADA, Kind.TURN) == 1
    found = (await store.search_sessions(ADA, towards(0), NO_TERMS, sessions=["s1"], limit=9)).passages
    assert [hit.text for hit in found] == ["said"]


async def test_what_is_said_of_the_user_is_read_by_what_it_is_about_with_what_is_pinned(store: VectorStore) -> None:
    home, dog = (
        memory(1).model_copy(update={"attribute": Attribute.HOME}),
        memory(2).model_copy(update={"attribute": Attribute.PET}),
    )
    toms = memory(3).model_copy(update={"attribute": Attribute.HOME, "subject": "Tom"})
    over = memory(4).model_copy(update={"attribute": Attribute.HOME, "expired_at": START})
    pinned = memory(5).model_copy(update={"subject": "Tom", "pinned": True})
    seen = memory(6, of="s2").model_copy(update={"attribute": Attribute.HOME})
    await store.save_memories(ADA, indexed(home, dog, toms, over, pinned, seen))
    await store.save_memories(BOB, indexed(memory(7).model_copy(update={"attribute": Attribute.HOME})))

    async def read(attributes: set[Attribute], *, pinned: bool, n: int = 9, **more: Any) -> set[str]:
        return {one.id for one in await store.memories_of_user(ADA, attributes, pinned=pinned, n=n, **more)}

    assert await read({Attribute.HOME}, pinned=False) == {home.id, seen.id}
    assert await read({Attribute.HOME, Attribute.PET}, pinned=True) == {home.id, dog.id, pinned.id, seen.id}
    assert await read({Attribute.HOME}, pinned=False, exclude_sessions={"s2"}) == {home.id}
    assert await read({Attribute.HOME, Attribute.PET}, pinned=True, n=2) == {pinned.id, seen.id}, "those told last"
    await store.update_memories(ADA, [home.model_copy(update={"pinned": True})])
    assert await read({Attribute.PET}, pinned=True) == {home.id, dog.id, pinned.id}
