"""Makes memory of one session: its messages in passages, a summary, the record of the session.

The ids depend only on what is stored: doing it twice, or dying anywhere in it, gives the same memory.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import replace
from itertools import islice

import numpy as np

from recallr_litellm.core.messages import Message, StoredMessage
from recallr_litellm.core.owner import Owner
from recallr_litellm.core.passages import indexed, split
from recallr_litellm.core.records import Passage, Session, Turn, User
from recallr_litellm.core.tokens import tokens_shown
from recallr_litellm.memory.summarise import summarise
from recallr_litellm.stores.embedding import Embedder, SparseEncoder
from recallr_litellm.stores.embedding.passages import Wait, embed_passages
from recallr_litellm.stores.state import Snapshot
from recallr_litellm.stores.vectors import VectorStore


class SessionMemory:
    """Writes sessions into Qdrant.

    Args:
        wait: on an outage of the embedding model, see `embed_passages`.
        count_tokens: tokens of a text, so that they need not be counted when it is shown; None: they are then.
    """

    def __init__(
        self,
        vectors: VectorStore,
        embedder: Embedder,
        sparse: SparseEncoder,
        *,
        wait: Wait,
        count_tokens: Callable[[str], int] | None = None,
    ) -> None:
        self._vectors = vectors
        self._embedder = embedder
        self._sparse = sparse
        self._wait = wait
        self._count_tokens = count_tokens

    async def save(
        self, owner: Owner, session_id: str, snapshot: Snapshot, still_wanted: Callable[[], Awaitable[bool]]
    ) -> None:
        """Embed, summarise and write a session. A text that the model refuses is kept, but not found by a search.

        Args:
            still_wanted: asked before the first write; False: nothing is written.

        Raises:
            Unavailable: Qdrant does not answer, or `wait` gave up.
            VectorsRefused: Qdrant does not take the session.
        """
        turns = await self._turns(snapshot.messages)
        summary = await self._summary(turns)
        session = Session(
            id=session_id,
            created_at=snapshot.created_at,
            last_at=snapshot.last_at,
            timeout_seconds=snapshot.timeout_seconds,
            message_count=len(snapshot.messages),
            summary=summary.text if summary else "",
            metadata=snapshot.metadata or {},
        )
        if not await still_wanted():
            return
        if await self._vectors.get_user(owner) is None:  # Qdrant has lost it
            id = owner.key if owner.key != owner.name_key else ""
            user = User(project=owner.project, user=owner.user, id=id, created_at=snapshot.created_at)
            await self._vectors.put_user(owner, user)
        await self._vectors.save_session(owner, session, turns, summary)
        await self._vectors.note_seen(owner, session.last_at)

    async def _turns(self, messages: tuple[StoredMessage, ...]) -> list[Turn]:
        # What tools returned is kept but not searched.
        texts = [
            await asyncio.to_thread(_passages, stored.message) if stored.message.role != "tool" else []
            for stored in messages
        ]
        passages = iter(await self._embed([text for of_message in texts for text in of_message]))
        return [
            Turn(stored, tuple(self._counted(stored.message.name, islice(passages, len(of_message)))))
            for stored, of_message in zip(messages, texts, strict=True)
        ]

    def _counted(self, name: str, passages: Iterable[Passage | None]) -> Iterator[Passage]:
        """The passages of a message that could be embedded, with what they cost to show: without the speaker's name."""
        for passage in passages:
            if passage is not None and self._count_tokens is not None:
                said = passage.text.removeprefix(f"{name}: ") if name else passage.text
                yield replace(passage, tokens=tokens_shown(said, self._count_tokens))
            elif passage is not None:
                yield passage

    async def _summary(self, turns: list[Turn]) -> Passage | None:
        said = [(turn.stored.message, passage) for turn in turns for passage in turn.passages]
        if not said:
            return None
        text = await asyncio.to_thread(
            lambda: summarise(
                [(message.role, passage.text) for message, passage in said],
                np.stack([passage.dense for _, passage in said]),
                names=[message.name for message, _ in said],
            )
        )
        return (await self._embed([text]))[0] if text else None

    async def _embed(self, texts: list[str]) -> list[Passage | None]:
        return await embed_passages(self._embedder, self._sparse, texts, wait=self._wait)


def _passages(message: Message) -> list[str]:
    """The passages of a message; where somebody by name says it, as lines of `Name: text`, as chats are exported."""
    return [f"{message.name}: {text}" if message.name else text for text in split(indexed(message.text))]
