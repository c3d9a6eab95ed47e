"""Memory that was there before: sessions in the vector store, as many as a test wants, without embedding them.

They are found by their words: their vectors only pass for those of the bundled model.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence

from recallr_litellm.core.messages import Message, StoredMessage
from recallr_litellm.core.owner import Owner
from recallr_litellm.core.records import Passage, Session, Turn, User
from recallr_litellm.settings import Settings
from recallr_litellm.stores.embedding import SparseEncoder, bundled
from recallr_litellm.stores.embedding.local import LocalEmbedder
from recallr_litellm.stores.vectors import VectorStore, open_collections
from tests.support.wires.embeddings import _embed

AT = 1_760_000_000_000
_PER_SESSION = 25


def town(number: int) -> str:
    """Where it rained on that day; another one on each of 60 days."""
    begin, end = ("Bar", "Kel", "Mon", "Tor", "Vas", "Lin"), "den ford ville by ton mouth stad haven dorf burg".split()
    return begin[number % len(begin)] + end[number // len(begin) % len(end)]


def stock(settings: Settings, owners: Sequence[Owner], messages: int) -> list[str]:
    """Fill the store with so many messages of each owner, each with one passage. Returns their texts.

    Every text begins with "Remark <number> of <user>", so that no two are alike.
    """
    texts = {
        owner: [f"Remark {n} of {owner.user}: on day {n} it rained in {town(n)}." for n in range(messages)]
        for owner in owners
    }
    asyncio.run(_stock(settings, texts))
    return [text for of_owner in texts.values() for text in of_owner]


async def _stock(settings: Settings, texts: dict[Owner, list[str]]) -> None:
    # Not loaded: the vectors are hashed words.
    model = LocalEmbedder(bundled.NAME, bundled.load, dimension=bundled.DIMENSION)
    store, sparse = VectorStore(open_collections(settings), model), SparseEncoder()
    await store.open()
    try:
        for owner, said in texts.items():
            await store.put_user(owner, User(project=owner.project, user=owner.user, created_at=AT))
            for number, start in enumerate(range(0, len(said), _PER_SESSION)):
                await _session(store, sparse, owner, f"{number:032x}", said[start : start + _PER_SESSION])
    finally:
        await store.close()


async def _session(store: VectorStore, sparse: SparseEncoder, owner: Owner, id: str, said: Iterable[str]) -> None:
    def passage(text: str) -> Passage:
        [terms] = sparse.passages([text])
        return Passage(text, _embed(text, bundled.DIMENSION), terms)

    turns = [
        Turn(
            StoredMessage(
                id=f"{id}-{position}",
                exchange="x",
                position=position,
                at=AT + position,
                message=Message(role="user", text=text),
            ),
            (passage(text),),
        )
        for position, text in enumerate(said)
    ]
    summary = f"User: session {id} of {owner.user}"
    session = Session(id=id, created_at=AT, last_at=AT, timeout_seconds=600, message_count=len(turns), summary=summary)
    await store.save_session(owner, session, turns, passage(summary))
