"""Who and what is spoken of, and how it hangs together, follows the memories wherever they go."""

from __future__ import annotations

from itertools import count

import pytest

from recallr_litellm.core.entities import Entity, entities_of
from recallr_litellm.core.owner import Owner
from recallr_litellm.core.records import Memory
from recallr_litellm.services.graph import EdgeKind, Graph
from tests.unit.learning.conftest import World
from tests.unit.learning.kit import OWNER, at

_IDS = count(1)


def memory(*entities: tuple[str, str], day: str = "2025-05-01", **fields: object) -> Memory:
    values = {"id": f"{next(_IDS):032x}", "content": "a fact", "session": "s1", "created_at": at(day), **fields}
    return Memory.model_validate({**values, "entities": [{"name": name, "kind": kind} for name, kind in entities]})


def named(entities: list[Entity]) -> dict[tuple[str, str], int]:
    return {(one.name, one.kind.value): len(one.memories) for one in entities}


def test_one_name_and_kind_is_one_entity_however_it_is_spelled() -> None:
    first = memory(("Rex", "pet"), day="2025-05-01")
    again = memory(("REX ", "pet"), day="2025-05-03")
    third = memory(("Rex", "pet"), day="2025-05-02")
    [rex] = entities_of([first, again, third])
    assert (rex.name, rex.aliases, rex.kind.value) == ("Rex", ("REX ",), "pet")
    assert rex.memories == (again.id, third.id, first.id)
    assert (rex.first_seen, rex.last_seen) == (at("2025-05-01"), at("2025-05-03"))


@pytest.mark.parametrize(
    ("told", "entities"),
    [
        ([("Mia", "person"), ("Mia", "product")], 2),
        ([("Mia", "person"), ("Mia", "other")], 1),
        ([("Mia", "person"), ("Mia", "product"), ("Mia", "other")], 3),
        ([("Anna (daughter)", "person"), ("Anna (work)", "person")], 2),
        ([("ASR1603", "product"), ("ASR1605", "product")], 2),
        ([("Anna", "person"), ("Anna Berg", "person")], 2),
    ],
    ids=["kinds", "no kind", "no kind of two", "told apart", "alike", "part of a name"],
)
def test_what_is_ambiguous_is_separate(told: list[tuple[str, str]], entities: int) -> None:
    assert len(entities_of([memory(one) for one in told])) == entities


def test_whom_a_memory_is_about_is_spoken_of_once_and_the_user_is_no_entity() -> None:
    of_mia = memory(("mia", "person"), ("Oslo", "place"), subject="Mia")
    of_user = memory(("Oslo", "place"))
    assert named(entities_of([of_mia, of_user])) == {("Oslo", "place"): 2, ("Mia", "person"): 1}


def lives(place: str) -> dict[str, object]:
    return {"text": f"User lives in {place}.", "attribute": "home", "entities": [{"name": place, "kind": "place"}]}


async def test_the_graph_follows_versions_and_deletions(world: World) -> None:
    rex = {"text": "Rex loves Rome.", "entities": [{"name": "Rome", "kind": "place"}, {"name": "Rex", "kind": "pet"}]}
    world.model.says({"Porto": [lives("Porto")], "moved": [lives("Rome")], "Rex": [rex]})
    world.model.decides({"lives in Rome": ("change", "Porto")})
    await world.learned("s1", "user: I live in Porto.", day="2025-05-01")
    await world.learned("s2", "user: I moved to Rome.", "user: Rex loves it.", day="2025-06-01")
    graph = Graph(world.vectors)

    entities, total = await graph.entities(OWNER, offset=0, limit=10)
    assert named(entities) == {("Rome", "place"): 2, ("Porto", "place"): 1, ("Rex", "pet"): 1}
    assert total == 3
    page, total = await graph.entities(OWNER, offset=1, limit=1, name="r")
    assert ([one.name for one in page], total) == (["Rex"], 3)

    view = await graph.view(OWNER, offset=0, limit=10)
    by_text = {one.content: one.id for one in view.memories}
    dog, home = by_text.pop("Rex loves Rome."), by_text.pop("User lives in Rome.")
    assert not by_text, "what is so now"
    assert {session.id for session in view.sessions} == {"s2"}
    assert [(edge.source, edge.target) for edge in view.edges if edge.kind is EdgeKind.CONNECTED] == [
        tuple(sorted((dog, home)))
    ]
    names = {one.id: one.name for one in view.entities}
    speaks = {(edge.source, names[edge.target]) for edge in view.edges if edge.kind is EdgeKind.SPEAKS_OF}
    assert speaks >= {(dog, "Rex"), (dog, "Rome"), (home, "Rome")}

    past = await graph.view(OWNER, offset=0, limit=10, past=True)
    [before] = [edge for edge in past.edges if edge.kind is EdgeKind.BEFORE]
    assert before.target == home
    assert {session.id for session in past.sessions} == {"s1", "s2"}
    of_rex = next(one.id for one in entities if one.name == "Rex")
    assert [one.id for one in (await graph.view(OWNER, offset=0, limit=10, entity=of_rex)).memories] == [dog]
    assert (await graph.view(OWNER, offset=1, limit=1)).total == 2

    stranger = await graph.view(Owner(OWNER.project, "other"), offset=0, limit=10)
    assert (stranger.memories, stranger.entities, stranger.edges) == ([], [], [])
    await world.vectors.delete_session(OWNER, "s2")
    assert named((await graph.entities(OWNER, offset=0, limit=10))[0]) == {("Porto", "place"): 1}
