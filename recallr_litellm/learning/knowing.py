"""Reading and changing what is known of a user, so that nobody's change is lost.

The learner, people and forgetting change the same memories. Each reads a memory with its versions, makes what is to be
written of it, embedding included, and then writes, under a lock of the user, if the memory is still what was read;
else it begins anew.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field

import numpy as np

from recallr_litellm.core.facts import Fact
from recallr_litellm.core.knowledge import ConflictStatus
from recallr_litellm.core.owner import Owner
from recallr_litellm.core.records import Memory, Passage, Vector
from recallr_litellm.learning.duplicates import Known
from recallr_litellm.learning.links import MOST, connections, other_ends
from recallr_litellm.learning.sentences import Sentences
from recallr_litellm.learning.versions import Changes
from recallr_litellm.stores.embedding import Embedder, SparseEncoder
from recallr_litellm.stores.embedding.passages import embed_passages
from recallr_litellm.stores.state import StateStore
from recallr_litellm.stores.vectors import VectorStore

Change = Callable[[Memory | None, Sequence[Memory]], Changes]
"""(a memory, None where there is none; its earlier versions, oldest first) → what is to be written."""


@dataclass(frozen=True, slots=True)
class Knowing:
    """Where memories are, how texts are compared, and who may write."""

    state: StateStore
    vectors: VectorStore
    embedder: Embedder
    sparse: SparseEncoder
    sentences: Sentences = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "sentences", Sentences(self.embedder))

    async def embed(self, texts: Sequence[str]) -> list[Passage | None]:
        """The texts with their vectors; None for one that the model refuses."""
        return await embed_passages(self.embedder, self.sparse, texts)

    async def near(self, owner: Owner, fact: Fact) -> list[Known]:
        """Memories that a fact may concern, with the cosine of the sentences."""
        [dense] = await self.sentences.vectors(owner, [fact.text])
        if dense is None:
            return []
        return await self._compared(owner, dense, await self.vectors.memories_near(owner, fact, dense))

    async def ended(self, owner: Owner, fact: Fact) -> list[Known]:
        """Memories that a person has ended after a fact was said, with the cosine of the sentences."""
        [dense] = await self.sentences.vectors(owner, [fact.text])
        memories = await self.vectors.ended_near(owner, dense) if dense is not None else []
        later = [memory for memory in memories if (memory.expired_at or 0) > fact.said_at]
        return await self._compared(owner, dense, later) if dense is not None and later else []

    async def _compared(self, owner: Owner, dense: Vector, memories: Sequence[Memory]) -> list[Known]:
        others = await self.sentences.vectors(owner, [memory.content for memory in memories])
        return [
            Known(memory, float(np.dot(dense, other)) if other is not None else 0.0)
            for memory, other in zip(memories, others, strict=True)
        ]

    def alone(self, owner: Owner) -> AbstractAsyncContextManager[None]:
        """While nobody else changes memories or extractions of this owner. For calls of the stores only."""
        return self.state.changing_memories(owner)

    async def read(self, owner: Owner, memory_id: str) -> tuple[Memory | None, list[Memory]]:
        """A memory, and its earlier versions."""
        found = await self.vectors.get_memories(owner, [memory_id])
        return next(iter(found), None), (await self.vectors.versions(owner, [memory_id]))[memory_id]

    async def change(
        self,
        owner: Owner,
        memory_id: str,
        make: Change,
        *,
        wanted: Callable[[], Awaitable[bool]] | None = None,
    ) -> Changes | None:
        """Change a memory.

        Args:
            memory_id: of the memory, not of an earlier version.
            make: called with what is there; again, where somebody has changed that meanwhile.
            wanted: asked just before writing, when nobody else can change anything.

        Returns:
            What was written; None where it was not: it is not wanted any more, or the user is forgotten.

        Raises:
            Unavailable: a store or the embedding model does not answer.
        """
        while True:
            there = await self.read(owner, memory_id)
            changes = make(*there)
            if changes == Changes():
                return changes
            before = {one.id: one for one in (*there[1], *([there[0]] if there[0] else []))}
            new = [one for one in changes.memories if _text(before.get(one.id)) != one.indexed_text]
            passages = await self.embed([one.indexed_text for one in new])
            near = {one.id: await self.near(owner, _as_fact(one)) for one in new if one.expired_at is None}
            async with self.alone(owner):
                if await self.read(owner, memory_id) != there:
                    continue
                if await self.state.is_gone(owner) or (wanted is not None and not await wanted()):
                    return None
                embedded = {one.id: passage for one, passage in zip(new, passages, strict=True)}
                written = await self._write(owner, changes, before, embedded, near)
            if await self.state.is_gone(owner):
                await self.vectors.delete_all_of(owner)
                return None
            return written

    async def _write(
        self,
        owner: Owner,
        changes: Changes,
        before: dict[str, Memory],
        embedded: dict[str, Passage | None],
        near: dict[str, list[Known]],
    ) -> Changes | None:
        vectors, conflict = self.vectors, changes.conflict
        raised = conflict is not None and conflict.status is ConflictStatus.PENDING
        if conflict is not None and raised:
            known = await vectors.get_conflict(owner, conflict.id)
            if known is not None and known.status is not ConflictStatus.PENDING:
                return None  # it was settled
            await vectors.put_conflict(owner, conflict, keep_existing=True)
        if changes.unlearned is not None:
            await vectors.delete_extracted(owner, changes.unlearned)
        for one in changes.memories:
            if one.id in embedded:
                linked = await self._connect(owner, one, near[one.id]) if one.id in near else one
                await vectors.save_memories(owner, [(linked, embedded[one.id])])
            elif one != before.get(one.id):
                await vectors.update_memories(owner, [one])
        await vectors.delete_memories(owner, changes.deleted)
        if conflict is not None and not raised:
            await vectors.put_conflict(owner, conflict)
        return changes

    async def _connect(self, owner: Owner, memory: Memory, near: Sequence[Known]) -> Memory:
        """The memory with its connections. Their other ends are written before it is: once it is there, all is."""
        cosines = {other.id: cosine for other, cosine in near}
        others = {one.id: one for one in await self.vectors.get_memories(owner, [*cosines, *memory.connected])}
        known = [Known(one, cosines[id]) for id, one in others.items() if id in cosines and one.expired_at is None]
        before = [others[id] for id in memory.connected if id in others]
        linked = memory.model_copy(update={"connected": connections(memory, known, before)})
        full = {id for one in others.values() if len(one.connected) >= MOST for id in one.connected}
        alive = {one.id for one in await self.vectors.get_memories(owner, [*full]) if one.expired_at is None}
        await self.vectors.update_memories(owner, [*other_ends(linked, memory.connected, [*others.values()], alive)])
        return linked


def _as_fact(memory: Memory) -> Fact:
    """What a memory says, to be looked for."""
    return Fact(
        id=memory.id,
        text=memory.content,
        subject=memory.subject,
        attribute=memory.attribute,
        entities=memory.entities,
        said_at=memory.created_at,
        sources=memory.sources,
    )


def _text(memory: Memory | None) -> str | None:
    return memory.indexed_text if memory is not None else None
