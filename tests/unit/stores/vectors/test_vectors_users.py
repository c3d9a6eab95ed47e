"""Users are created once, listed in an order, found by a part of their name, and what they have is counted."""

import asyncio

import pytest

from recallr_litellm.core.owner import Owner, Project
from recallr_litellm.core.records import Memory, User
from recallr_litellm.stores.vectors import Engine, VectorStore, base, schema
from recallr_litellm.stores.vectors.engine import Point, Where
from recallr_litellm.stores.vectors.schema import Kind
from recallr_litellm.stores.vectors.users import UserOrder
from tests.unit.stores.vectors.vector_samples import ADA, BOB, START, session


def ada(created_at: int = START, **metadata: object) -> User:
    return User(project=ADA.project, user=ADA.user, created_at=created_at, metadata=metadata)


async def test_a_user_stays_as_old_as_it_is_but_takes_new_metadata(store: VectorStore) -> None:
    await store.put_user(ADA, ada(START, plan="free"))
    await store.put_user(ADA, ada(START + 1000, plan="paid"))
    assert await store.get_user(ADA) == ada(START, plan="paid")


async def test_of_many_first_writes_one_sets_the_time_of_creation(store: VectorStore) -> None:
    await asyncio.gather(*(store.put_user(ADA, ada(START + n)) for n in range(10)))
    first = await store.get_user(ADA)
    assert first is not None

    await store.put_user(ADA, ada(START - 1))
    assert await store.get_user(ADA) == first


async def test_a_user_cannot_be_put_under_another_owner(store: VectorStore) -> None:
    with pytest.raises(ValueError, match="own owner"):
        await store.put_user(BOB, ada())
    assert await store.get_user(BOB) is None


SHOP = Project("shop")
NAMES = ("Zoë", "anna@example.com", "Annabel/7?", "ben 100%_\u202e", "anna@example.org")


async def people(store: VectorStore) -> None:
    """Made at the same instant, but the first."""
    for number, name in enumerate(NAMES):
        owner = Owner(SHOP.id, name)
        await store.put_user(owner, User(project=SHOP.id, user=name, created_at=START + (number > 0)))
    await store.put_user(Owner("other", "anna"), User(project="other", user="anna", created_at=START))


async def listed(store: VectorStore, order: UserOrder, *, part: str = "", limit: int = 2) -> list[str]:
    """Page by page, each once, and as many as are said to be there."""
    names: list[str] = []
    while True:
        page, total = await store.list_users(SHOP, offset=len(names), limit=limit, part=part, order=order)
        if not page:
            assert len(names) == total
            return names
        names += [one.user.user for one in page]


@pytest.mark.parametrize("at_once", [2, 256])
async def test_users_are_listed_page_by_page_in_every_order(
    store: VectorStore, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    monkeypatch.setattr(base, "_READ_PAGE", at_once)
    await people(store)
    by_name = ["anna@example.com", "anna@example.org", "Annabel/7?", "ben 100%_\u202e", "Zoë"]
    assert await listed(store, UserOrder.NAME) == by_name
    created = await listed(store, UserOrder.CREATED)
    assert (sorted(created), created[-1]) == (sorted(NAMES), "Zoë")
    assert await listed(store, UserOrder.CREATED, limit=3) == created

    for name, at in (("Zoë", START + 9), ("ben 100%_\u202e", START + 8), ("Zoë", START + 7)):
        await store.note_seen(Owner(SHOP.id, name), at)
    await store.note_seen(Owner(SHOP.id, "nobody"), START + 10)
    assert (await listed(store, UserOrder.LAST_SEEN))[:2] == ["Zoë", "ben 100%_\u202e"]
    zoe = User(project=SHOP.id, user="Zoë", created_at=START, metadata={"plan": "paid"})
    await store.put_user(Owner(SHOP.id, "Zoë"), zoe)
    found = await store.get_listed_user(Owner(SHOP.id, "Zoë"))
    assert found is not None
    assert (found.seen_at, found.user.metadata) == (START + 9, {"plan": "paid"}), "a change makes nobody unseen"


@pytest.mark.parametrize("order", UserOrder)
async def test_users_are_found_by_any_part_of_their_name_in_any_case(store: VectorStore, order: UserOrder) -> None:
    await people(store)
    for part, names in {
        "NNA": {"anna@example.com", "anna@example.org", "Annabel/7?"},
        ".org": {"anna@example.org"},
        "7?": {"Annabel/7?"},
        "0%_\u202e": {"ben 100%_\u202e"},
        "ZOË": {"Zoë"},
        "*": set(),
    }.items():
        assert set(await listed(store, order, part=part)) == names, part


async def test_what_users_and_a_project_have_is_counted(store: VectorStore, engine: Engine) -> None:
    """Also what an earlier version has written, which noted less with it."""
    project = Project(ADA.project)
    await store.put_user(ADA, ada())
    for id in ("s1", "s2"):
        await store.save_session(ADA, session(id, last_at=START + 5), [], None)
    now = Memory(id="a" * 32, content="lives in Rome", created_at=START, session="s1")
    was = now.model_copy(update={"id": "b" * 32, "chain": now.id, "expired_at": START})
    await store.save_memories(ADA, [(now, None), (was, None)])
    await store.save_session(BOB, session("s1"), [], None)

    async def counted() -> list[object]:
        kinds = (Kind.USER, Kind.SESSION, Kind.MEMORY)
        return [
            *[await store.count_of_project(project, kind) for kind in kinds],
            *[await store.count_of_users(project, [ADA, BOB], kind) for kind in kinds[1:]],
        ]

    assert await counted() == [1, 3, 1, {ADA: 2, BOB: 1}, {ADA: 1}]
    later = (schema.PROJECT, schema.NAMED, schema.SEEN)
    for kind in (Kind.USER, Kind.SESSION, Kind.MEMORY):
        for point in (await engine.scroll(Where(ADA, kind), 10))[0]:
            payload = {field: value for field, value in point.payload.items() if field not in later}
            await engine.upsert([Point(point.id, payload)])
    assert await counted() == [1, 1, 0, {BOB: 1}, {}]
    assert await store.list_earlier() == 1
    assert await counted() == [1, 3, 1, {ADA: 2, BOB: 1}, {ADA: 1}]
    [found], _ = await store.list_users(project, offset=0, limit=9, part="AD", order=UserOrder.LAST_SEEN)
    assert found == (ada(), START + 5)
    await store.delete_session(ADA, "s1")
    await store.delete_memories(ADA, [now.id])
    assert (await counted())[1:] == [2, 0, {ADA: 1, BOB: 1}, {}]
