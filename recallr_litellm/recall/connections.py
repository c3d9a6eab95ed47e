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
    memories: Sequence[RecalledMemory],
    known: Mapping[str, MemoryHit],
    fetch: Fetch,
    *,
    at_most: int,
    told: frozenset[str] = frozenset(),
) -> tuple[RecalledMemory, ...]:
    """The recalled memories with those that they are connected with, each of which stands at one place only.

    Args:
        memories: the recalled ones, most relevant first, whose connections come first.
        known: what the search has brought anyway, by id, `memories` among it. Nothing of it is fetched.
        fetch: asked at most once for each step away from the recalled ones. Raises what it raises.
        at_most: memories that are added in all.
        told: ids of messages that are shown; a memory that tells no more than these is not added.
    """
    found: dict[str, Memory | MemoryHit] = dict(known)
    below: dict[str, list[str]] = {}
    taken = {memory.id for memory in memories}
    level = [memory.id for memory in memories]
    for most in EACH:
        chosen: dict[str, list[str]] = {}
        for parent in level:
            others = [id for id in dict.fromkeys(found[parent].connected) if id not in taken]
            chosen[parent] = others[: min(most, at_most)]
            taken.update(chosen[parent])
            at_most -= len(chosen[parent])
        missing = [id for ids in chosen.values() for id in ids if id not in found]
        if missing:
            found |= {memory.id: memory for memory in await fetch(missing)}
        below |= {
            parent: [id for id in ids if id in found and _tells_more(found[id], told)] for parent, ids in chosen.items()
        }
        level = [id for parent in level for id in below[parent]]

    def tree(id: str) -> tuple[RecalledMemory, ...]:
        return tuple(recalled_memory(found[child])._replace(connected=tree(child)) for child in below.get(id, ()))

    return tuple(memory._replace(connected=tree(memory.id)) for memory in memories)


def _tells_more(memory: Memory | MemoryHit, told: frozenset[str]) -> bool:
    return memory.expired_at is None and not (memory.sources and told.issuperset(memory.sources))
