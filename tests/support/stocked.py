"""Memory that was there before: sessions in the vector store, as many as a test wants, without embedding them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence

from recallr_litellm.core.messages import Message, StoredMessage
from recallr_litellm.core.owner import Owner
from recallr_litellm.core.records import Passage, Session, SparseVector, Turn, User
from recallr_litellm.settings import Settings
from recallr_litellm.stores.embedding import bundled
from recallr_litellm.stores.vectors import VectorStore, open_engine
from tests.support.wires.embeddings import _embed

AT = 1_760_000_000_000
_PER_SESSION = 25


class Bundled:
    """The bundled model by name; the vectors are hashed words."""

    name = bundled.NAME
    dimension = bundled.DIMENSION


def stock(settings: Settings, owners: Sequence[Owner], messages: int) -> list[str]:
    """Fill the store with so many messages of each owner, each with one passage. Returns their texts.

    Every text begins with "Remark <number> of <user>", so that no two are alike.
    """
    texts = {owner: [f"Remark {n} of {owner.user}: it rained on day {n}." for n in range(messages)] for owner in owners}
    asyncio.run(_stock(settings, texts))
    return [text for of_owner in texts.values() for text in of_owner]


async def _stock(settings: Settings, texts: dict[Owner, list[str]]) -> None:
    store = VectorStore(open_engine(settings), Bundled())
    await store.open()
    try:
        for owner, said in texts.items():
            await store.put_user(owner, User(project=owner.project, user=owner.user, created_at=AT))
            for number, start in enumerate(range(0, len(said), _PER_SESSION)):
                await _session(store, owner, f"{number:032x}", said[start : start + _PER_SESSION])
    finally:
        await store.close()


async def _session(store: VectorStore, owner: Owner, id: str, said: Iterable[str]) -> None:
    turns = [
        Turn(
            StoredMessage(
                id=f"{id}-{position}",
                exchange="x",
                position=position,
                at=AT + position,
                message=Message(role="user", text=text),
            ),
            (_passage(text),),
        )
        for position, text in enumerate(said)
    ]
    summary = f"User: session {id} of {owner.user}"
    session = Session(id=id, created_at=AT, last_at=AT, timeout_seconds=600, message_count=len(turns), summary=summary)
    await store.save_session(owner, session, turns, _passage(summary))


def _passage(text: str) -> Passage:
    return Passage(text, _embed(text, bundled.DIMENSION), SparseVector((1, 2), (1.0, 1.0)))
