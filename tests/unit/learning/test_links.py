"""Memories are connected that hang together, at both ends, as long as both are there and true."""

from __future__ import annotations

from itertools import count
from typing import Any, cast

import pytest

from recallr_litellm.core.records import Memory
from recallr_litellm.learning.duplicates import Known
from recallr_litellm.learning.links import HUB, MOST, connections, other_ends
from recallr_litellm.services.memories import Memories
from recallr_litellm.services.sessions import SessionService
from tests.unit.learning.conftest import World
from tests.unit.learning.kit import OWNER, at

_IDS = count(1)


def memory(*people: str, **fields: Any) -> Memory:
    values = {"id": f"{next(_IDS):032x}", "content": "a fact", "session": "s1", "created_at": 0, **fields}
    entities = [{"name": name, "kind": "person"} for name in people]
    return Memory.model_validate({"entities": entities, **values})


def known(*others: Memory, cosine: float = 0.2) -> list[Known]:
    return [Known(other, cosine) for other in others]


def test_a_common_entity_connects_and_a_name_of_another_kind_does_not() -> None:
    of_mia, other = memory("Mia"), memory("Leo")
    boat = memory(entities=[{"name": "Mia", "kind": "product"}])
    assert connections(memory("mia"), known(of_mia, boat, other)) == (of_mia.id,)


def test_what_is_alike_is_connected_the_nearest_first() -> None:
    near, nearer, far = memory(), memory(), memory()
    assert connections(memory(), [Known(near, 0.7), Known(nearer, 0.8), Known(far, 0.5)]) == (nearer.id, near.id)


def test_a_hub_connects_only_what_happened_at_one_time() -> None:
    lisbon = [memory("Mia", event_start=at(f"2025-05-{day:02}")) for day in range(1, HUB + 3)]
    new = memory("Mia", event_start=at("2025-05-03 18:00"))
    assert set(connections(new, known(*lisbon))) == {lisbon[2].id, lisbon[3].id}
    assert connections(memory("Mia"), known(*lisbon)) == ()


def test_one_day_alone_connects_nothing() -> None:
    day = {"event_start": at("2025-05-03")}
    assert connections(memory("Mia", **day), known(memory("Leo", **day))) == ()


def test_what_it_was_connected_with_stays_first_if_it_still_belongs_to_it() -> None:
    stays, goes, new = memory("Mia"), memory("Leo"), memory("Mia")
    changed = memory("Mia", connected=(goes.id, stays.id))
    assert connections(changed, known(new), [goes, stays]) == (stays.id, new.id)
    expired = stays.model_copy(update={"expired_at": 5})
    assert connections(changed, known(new), [goes, expired]) == (new.id,)


def test_connections_are_bounded() -> None:
    assert len(connections(memory(), known(*(memory() for _ in range(30)), cosine=0.9))) == MOST


def test_other_ends_lead_back_as_far_as_they_have_room() -> None:
    gone = [memory().id for _ in range(MOST)]
    free, full, of_dead = memory(), memory(connected=gone), memory(connected=gone)
    new = memory(connected=(free.id, full.id))
    [changed] = other_ends(new, (), [free, full], alive=set(gone))
    assert (changed.id, changed.connected) == (free.id, (new.id,))
    [changed] = other_ends(memory(id=new.id, connected=(of_dead.id,)), (), [of_dead], alive=set(gone[1:]))
    assert changed.connected == (*gone[1:], new.id), "what is dead makes room"
    left = memory(connected=(new.id, gone[0]))
    [changed] = other_ends(new, (left.id,), [left], alive=())
    assert changed.connected == (gone[0],), "it leads to it no longer"


def of_place(text: str, place: str, **more: Any) -> dict[str, Any]:
    return {"text": text, "entities": [{"name": place, "kind": "place"}], **more}


@pytest.fixture
def memories(world: World) -> Memories:
    sessions = cast(SessionService, None)
    return Memories(sessions, world.learner._knowing, forget_explained=world.state.forget_explained)


async def by_text(world: World) -> dict[str, Memory]:
    return {one.content: one for one in await world.memories() if one.expired_at is None}


HOME, CLUB, TRAM = "User lives in Porto.", "The rowing club of Porto opens at six.", "A tram ride in Rome costs 1.50."


async def settled_in_porto(world: World) -> None:
    world.model.says(
        {
            "live": [of_place(HOME, "Porto", attribute="home")],
            "club": [of_place(CLUB, "Porto", subject="rowing club")],
            "tram": [of_place(TRAM, "Rome", subject="tram")],
            "moved": [of_place("User lives in Rome.", "Rome", attribute="home")],
        }
    )
    world.model.decides({"lives in Rome": ("change", HOME)})
    await world.learned("s1", "user: I live in Porto.", day="2025-05-01")
    await world.learned("s2", "user: The club is early.", day="2025-05-02")
    await world.learned("s3", "user: The tram is cheap.", day="2025-05-03")


async def test_a_change_takes_connections_that_no_longer_hold_from_both_ends(world: World) -> None:
    await settled_in_porto(world)
    found = await by_text(world)
    assert (found[HOME].connected, found[CLUB].connected) == ((found[CLUB].id,), (found[HOME].id,))
    await world.learned("s4", "user: I moved to Rome.", day="2025-06-01")
    found = await by_text(world)
    home = found["User lives in Rome."]
    assert (home.connected, found[TRAM].connected) == ((found[TRAM].id,), (home.id,))
    assert found[CLUB].connected == ()


async def test_what_is_invalid_or_deleted_is_no_connection(world: World, memories: Memories) -> None:
    await settled_in_porto(world)
    found = await by_text(world)
    assert [one.content for one in (await memories.get(OWNER, found[CLUB].id)).connected] == [HOME]
    await memories.invalidate(OWNER, found[HOME].id)
    assert (await memories.get(OWNER, found[CLUB].id)).connected == []
    await world.vectors.delete_session(OWNER, "s1")
    assert (await memories.get(OWNER, found[CLUB].id)).connected == []


async def test_a_correction_is_connected_anew(world: World, memories: Memories) -> None:
    await settled_in_porto(world)
    found = await by_text(world)
    corrected = await memories.edit(OWNER, found[TRAM].id, "The tram of the rowing club of Porto opens at six.")
    assert HOME not in [one.content for one in corrected.connected]
    assert CLUB in [one.content for one in corrected.connected], "it is alike now"
    assert found[TRAM].id in (await by_text(world))[CLUB].connected
