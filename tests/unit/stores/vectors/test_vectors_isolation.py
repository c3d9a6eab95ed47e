"""No user ever reads what another one wrote, whatever their ids look like."""

import tempfile
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from qdrant_client import AsyncQdrantClient

from recallr_litellm.core.owner import Owner
from recallr_litellm.core.records import Hits, Memory, User
from recallr_litellm.stores.vectors import Engine, VectorStore
from recallr_litellm.stores.vectors.edge_collections import EdgeCollections
from recallr_litellm.stores.vectors.schema import Kind
from recallr_litellm.stores.vectors.server_collections import ServerCollections
from tests.unit.stores.vectors.vector_samples import (
    ADA,
    BOB,
    DIMENSION,
    MODEL,
    Model,
    count,
    passage,
    session,
    stored,
    terms,
    texts,
    towards,
    turn,
)

MEMORY = "a" * 32
identifiers = st.text(min_size=1, max_size=6) | st.sampled_from(["a", "A", "a ", "a:b", "b", "á", "á", "\x00"])
owners = st.builds(Owner, identifiers, identifiers)


@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(pair=st.lists(owners, min_size=2, max_size=2, unique=True), session_id=identifiers, message_id=identifiers)
async def test_two_users_with_the_same_ids_and_texts_never_meet(
    pair: list[Owner], session_id: str, message_id: str
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for collections in (
            EdgeCollections(Path(folder) / "qdrant"),
            ServerCollections(lambda: AsyncQdrantClient(location=":memory:"), "recallr"),
        ):
            store = VectorStore(collections, Model(MODEL, DIMENSION))
            await store.open()
            try:
                await _never_meet(store, pair, session_id, message_id)
            finally:
                await store.close()


async def _never_meet(store: VectorStore, pair: list[Owner], session_id: str, message_id: str) -> None:
    # All is the same but the time, which tells whose a record is.
    for mark, owner in enumerate(pair):
        found = passage("the same words", sparse=terms(1))
        await store.put_user(owner, User(project=owner.project, user=owner.user, created_at=mark))
        await store.save_session(
            owner,
            session(session_id, summary="the same words", last_at=mark),
            [turn(stored(0, "the same words", at=mark, id=message_id), found)],
            found,
        )
        known = Memory(id=MEMORY, content="the same words", created_at=mark, session=session_id, connected=(MEMORY,))
        await store.save_memories(owner, [(known, found)])

    for mark, owner in enumerate(pair):
        user, saved = await store.get_user(owner), await store.get_session(owner, session_id)
        hits, summaries, memories, *_ = await store.search(owner, towards(0), terms(1), exclude_sessions=())
        seen = {
            "user": [user.created_at] if user else [],
            "session": [saved.last_at] if saved else [],
            "messages": [message.at for message in await store.read_messages(owner, session_id)],
            "passages": [hit.at for hit in hits],
            "summaries": [hit.last_at for hit in summaries],
            "found memories": [hit.created_at for hit in memories],
            "memories": [memory.created_at for memory in await store.get_memories(owner, [MEMORY])],
            "last messages": [m.at for _, m in await store.last_user_messages(owner, 9, exclude_sessions=())],
            "last summaries": [s.last_at for s in await store.last_summaries(owner, 9, exclude_sessions=())],
        }
        assert seen == {name: [mark] for name in seen}, f"{owner} does not see exactly its own"


async def test_saving_a_session_deletes_nothing_of_a_user_with_the_same_session_id(
    store: VectorStore, engine: Engine
) -> None:
    for owner in (ADA, BOB):
        await store.save_session(owner, session("s1"), [turn(stored(0, owner.user), passage("a"))], None)

    await store.save_session(ADA, session("s1"), [], None)

    assert texts(await store.read_messages(BOB, "s1")) == ["bob"]
    assert await count(engine, ADA, Kind.TURN) == 0


async def test_a_user_sees_nothing_of_others_before_it_has_said_anything(store: VectorStore) -> None:
    found = passage("secret", sparse=terms(1))
    await store.save_session(ADA, session("s1", summary="secret"), [turn(stored(0), found)], found)
    known = Memory(id=MEMORY, content="secret", created_at=0, session="s1")
    await store.save_memories(ADA, [(known, found)])

    assert await store.get_user(BOB) is None
    assert await store.get_session(BOB, "s1") is None
    assert await store.read_messages(BOB, "s1") == []
    assert await store.search(BOB, towards(0), terms(1), exclude_sessions=()) == Hits([], [], [], all_words=True)
    assert await store.get_memories(BOB, [MEMORY]) == []
    assert await store.last_user_messages(BOB, 5, exclude_sessions=()) == []
    assert await store.last_summaries(BOB, 5, exclude_sessions=()) == []
