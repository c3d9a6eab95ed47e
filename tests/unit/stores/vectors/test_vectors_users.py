"""Users are created once."""

import asyncio

import pytest

from recallr_litellm.core.records import User
from recallr_litellm.stores.vectors import VectorStore
from tests.unit.stores.vectors.vector_samples import ADA, BOB, START


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
