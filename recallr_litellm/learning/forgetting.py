"""What becomes of memories when a session is deleted.

What rests on it alone goes. What other sessions say too stays, in their words and without what the deleted one said,
and so do the versions before and after.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from recallr_litellm.core.facts import Extraction, Fact, Outcome, Unlearned
from recallr_litellm.core.knowledge import ConflictStatus, Origin, Reason
from recallr_litellm.core.owner import Owner
from recallr_litellm.core.records import Memory
from recallr_litellm.learning.knowing import Change, Knowing
from recallr_litellm.learning.versions import Changes, merged, new_memory, without_versions


class _Said(NamedTuple):
    """A fact of a session that stays."""

    fact: Fact
    session: str
    same_as: str
    """Id of the memory that says the same; "" where none does."""


@dataclass(frozen=True, slots=True)
class GoneSession:
    """A session that is deleted, beside those that stay.

    Args:
        extractions: of all sessions of the user.
        messages: ids of its messages.
        conflicts: ids of those that it has raised.
    """

    id: str
    extractions: Sequence[Extraction]
    messages: frozenset[str] = frozenset()
    conflicts: frozenset[str] = frozenset()

    @property
    def facts(self) -> frozenset[str]:
        """Ids of what was extracted from it."""
        return frozenset(fact.id for one in self.extractions if one.session == self.id for fact in one.facts)

    @property
    def sources(self) -> frozenset[str]:
        """Ids of all its messages."""
        of_it = [one for one in self.extractions if one.session == self.id]
        rested_on = (id for one in of_it for fact in one.facts for id in fact.sources)
        return self.messages | {id for one in of_it for id in one.messages} | frozenset(rested_on)

    @property
    def said(self) -> dict[str, _Said]:
        """What other sessions say, by the id of the fact."""
        found: dict[str, _Said] = {}
        for extraction in self.extractions:
            if extraction.session != self.id:
                same = {one.fact: one.memory for one in extraction.decisions if one.outcome is Outcome.SAME}
                found |= {fact.id: _Said(fact, extraction.session, same.get(fact.id, "")) for fact in extraction.facts}
        return found

    def concerns(self, memory: Memory) -> bool:
        """Whether anything of a version comes from it."""
        return (
            memory.session == self.id
            or memory.conflict in self.conflicts
            or memory.fact in self.facts
            or not self.sources.isdisjoint(memory.sources)
        )


async def forget_session(knowing: Knowing, owner: Owner, session_id: str) -> None:
    """Delete a processed session with what was learned from it alone. Interrupted, it is to be called again.

    Raises:
        Unavailable: a store or the embedding model does not answer.
    """
    vectors = knowing.vectors
    memories = [memory async for memory in vectors.each_memory(owner)]
    if memories:
        of_turns = frozenset(stored.id for stored in await vectors.read_messages(owner, session_id))
        conflicts = await vectors.conflicts(owner)
        raised = frozenset(one.id for one in conflicts if one.session == session_id)
        gone = GoneSession(session_id, await vectors.extractions(owner), of_turns, raised)
        for chain in dict.fromkeys(one.chain or one.id for one in memories if gone.concerns(one)):
            await knowing.change(owner, chain, lambda memory, earlier: without_session(memory, earlier, gone))
            if await vectors.get_memories(owner, [chain]):
                continue
            of_chain = [one for one in conflicts if one.memory == chain and one.id not in raised]
            for one in of_chain:  # what it contradicts is no longer said
                said = gone.said.get(one.proposed)
                if said is not None and one.status is ConflictStatus.PENDING:
                    await knowing.change(owner, said.fact.id, _holding(said))
            await vectors.delete_conflicts(owner, [one.id for one in of_chain])
    await vectors.delete_session(owner, session_id)


def _holding(said: _Said) -> Change:
    def change(memory: Memory | None, _: Sequence[Memory]) -> Changes:
        return Changes((new_memory(said.fact, said.session),)) if memory is None else Changes()

    return change


def without_session(memory: Memory | None, earlier: Sequence[Memory], gone: GoneSession) -> Changes:
    """A memory without what a session said of it."""
    versions = [*earlier, *([memory] if memory is not None else [])]
    sources, said = gone.sources, gone.said
    place = {id: one.session for one in gone.extractions if one.session != gone.id for id in one.messages}
    chain = memory.id if memory is not None else next((one.chain for one in earlier), "")
    left: dict[str, Memory | None] = {}
    """Each version as it stays."""
    base: Memory | None = None
    """What an addition adds to, as it stays; and as it was."""
    base_before: Memory | None = None
    goes: set[str] = set()
    texts: set[str] = set()
    for one in versions:
        adds = one.reason is Reason.ADDITION and base_before is not None
        start, changed = (base, base != base_before) if adds else (None, False)
        now = _version_without(one, start, gone, sources, said, place, chain, changed=changed, texts=texts)
        if now is None:
            goes.add(one.id)
            texts.add(one.content)
        left[one.id] = now
        if one.chain == "" or one.expiration_reason is Reason.ADDITION:
            base, base_before = now if now is not None else start, one
    kept = [now for one in versions if (now := left[one.id] or one)]
    now_current = kept[-1] if memory is not None else None
    now_earlier = kept[:-1] if memory is not None else kept
    if memory is None or goes == set(left):
        changes = Changes(deleted=tuple(one.id for one in versions if memory is not None or one.id in goes))
    else:
        changes = without_versions(now_current, now_earlier, goes)
    written = {one.id: one for one in kept if one.id not in goes and one not in versions}
    written |= {one.id: one for one in changes.memories}
    deleted = [id for id in changes.deleted if id in left]
    evidence = {id for one in kept if one.id not in goes for id in one.sources}
    return Changes(
        tuple(one for id, one in written.items() if id not in deleted),
        deleted=tuple(deleted),
        unlearned=Unlearned(chain, gone.facts, evidence | set(place)),
    )


def _version_without(
    one: Memory,
    start: Memory | None,
    gone: GoneSession,
    sources: frozenset[str],
    said: dict[str, _Said],
    place: dict[str, str],
    chain: str,
    *,
    changed: bool,
    texts: set[str],
) -> Memory | None:
    """A version as it stays; None where it goes.

    Args:
        start: what it adds to, as that stays.
        changed: that is not what it was.
        texts: of versions that go: one that repeats one of these goes as well.
    """
    evidence = tuple(id for id in one.sources if id not in sources)
    session = one.session if one.session != gone.id else next((place[id] for id in evidence if id in place), "")
    update: dict[str, object] = {"sources": evidence, "session": session}
    if one.conflict in gone.conflicts:
        update["conflict"] = None
    by_person = one.origin is Origin.BY_HAND or not one.fact
    if by_person:
        rests = bool(evidence) or (not one.sources and one.session != gone.id)
        return one.model_copy(update=update) if rests and one.content not in texts else None
    own = said.get(one.fact)
    if own is None and (one.fact in gone.facts or one.session == gone.id):
        again = [of for of in said.values() if of.same_as == chain and set(of.fact.sources) <= set(one.sources)]
        own = min(again, key=lambda of: of.fact.said_at, default=None)
        if own is None:
            return None
        changed = True
    if not changed or own is None:
        return one.model_copy(update=update)
    new = new_memory(own.fact, own.session)
    text = merged(start, new, "") if start is not None else new
    stays = ("id", "chain", "reason", "created_at", "expired_at", "expiration_reason", "connected", "pinned")
    same = {name: getattr(one, name) for name in stays}
    return text.model_copy(update={"conflict": one.conflict, **same, **update, "session": own.session})
