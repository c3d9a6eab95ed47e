"""The memories that recalled ones are connected with."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence

from recallr_litellm.core.recalled import RecalledMemory
from recallr_litellm.core.records import Memory, MemoryHit
from recallr_litellm.recall.memories import recalled_memory

EACH = (3, 2)
"""Most memories below a recalled one, and below one of those."""

Fetch = Callable[[Sequence[str]], Awaitable[Sequence[Memory]]]
"""Ids → those of the owner's memories that there are."""


async def with_connected(
    facts: Sequence[RecalledMemory],
    known: Mapping[str, MemoryHit],
    fetch: Fetch,
    *,
    at_most: int,
    told: frozenset[str] = frozenset(),
) -> tuple[RecalledMemory, ...]:
    """The recalled memories with those that they are connected with, each of which stands at one place only.

    Args:
        facts: the recalled ones, most relevant first, whose connections come first.
        known: what the search has brought anyway, by id, `facts` among it. Nothing of it is fetched.
        fetch: asked at most once for each step away from the recalled ones. Raises what it raises.
        at_most: memories that are added in all.
        told: ids of messages that are shown; a memory that tells no more than these is not added.
    """
    memories: dict[str, Memory | MemoryHit] = dict(known)
    below: dict[str, list[str]] = {}
    taken = {fact.id for fact in facts}
    level = [fact.id for fact in facts]
    for most in EACH:
        chosen: dict[str, list[str]] = {}
        for parent in level:
            others = [id for id in dict.fromkeys(memories[parent].connected) if id not in taken]
            chosen[parent] = others[: min(most, at_most)]
            taken.update(chosen[parent])
            at_most -= len(chosen[parent])
        missing = [id for ids in chosen.values() for id in ids if id not in memories]
        if missing:
            memories |= {memory.id: memory for memory in await fetch(missing)}
        below |= {
            parent: [id for id in ids if id in memories and _tells_more(memories[id], told)]
            for parent, ids in chosen.items()
        }
        level = [id for parent in level for id in below[parent]]

    def tree(id: str) -> tuple[RecalledMemory, ...]:
        return tuple(recalled_memory(memories[child])._replace(connected=tree(child)) for child in below.get(id, ()))

    return tuple(fact._replace(connected=tree(fact.id)) for fact in facts)


def _tells_more(memory: Memory | MemoryHit, told: frozenset[str]) -> bool:
    return not (memory.sources and told.issuperset(memory.sources))
