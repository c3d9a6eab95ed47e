"""What queries have found is kept in memory, and is never anything but what is stored."""

from uuid import UUID

from recallr_litellm.stores.vectors import VectorStore
from recallr_litellm.stores.vectors.engine import KeptPayload
from recallr_litellm.stores.vectors.kept_payloads import MOST_KEPT, KeptPayloads
from tests.unit.stores.vectors.vector_samples import ADA, passage, session, stored, terms, towards, turn


async def texts(store: VectorStore) -> list[str]:
    hits, *_ = await store.search(ADA, towards(0), terms(1), exclude_sessions=())
    return sorted(hit.text for hit in hits)


async def test_a_message_that_is_written_again_is_found_as_it_is_now(store: VectorStore) -> None:
    for text in ("I live in Oslo.", "I live in Bergen."):
        await store.save_session(ADA, session(), [turn(stored(0, text), passage(text, sparse=terms(1)))], None)
        assert await texts(store) == [text], "at first"
        assert await texts(store) == [text], "and again"


async def test_what_is_deleted_is_found_no_more_and_not_kept(store: VectorStore) -> None:
    for id in ("s1", "s2"):
        said = turn(stored(0, id=f"m-{id}"), passage(f"said in {id}", sparse=terms(1)))
        await store.save_session(ADA, session(id), [said], None)
    assert await texts(store) == ["said in s1", "said in s2"]

    await store.delete_session(ADA, "s1")

    assert await texts(store) == ["said in s2"]


def test_nothing_is_kept_that_was_read_before_a_change() -> None:
    kept, point, another = KeptPayloads(), UUID(int=1), UUID(int=2)
    before = kept.changes
    with kept.changing([another]):
        pass

    kept.keep({point: payload()}, as_of=before)
    assert kept.get(point) is None, "it may be what was there before"

    kept.keep({point: payload()}, as_of=kept.changes)
    assert kept.get(point) == payload()
    with kept.changing([point]):
        pass
    assert kept.get(point) is None


def test_no_more_is_kept_than_its_bound() -> None:
    kept = KeptPayloads()
    points = [UUID(int=number) for number in range(3 * MOST_KEPT)]
    for point in points:
        kept.keep({point: payload()}, as_of=kept.changes)

    assert kept.get(points[-1]) == payload()
    assert sum(kept.get(point) is not None for point in points) <= MOST_KEPT


def payload() -> KeptPayload:
    made = KeptPayload()
    made["text"] = "hello"
    return made
