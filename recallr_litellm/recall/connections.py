"""The memories that others lead to: used for finding, and shown with what leads to them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from recallr_litellm.core.recalled import RecalledMemory
from recallr_litellm.core.records import MemoryHit

EACH = (3, 2)
"""Most memories below one that is shown, and below one of those."""
_LEADING = 20
"""Of the memories that a search has found, the best, whose connections are looked at too."""
_LED_TO = 40
"""Most memories that are looked at for these."""


def led_to(hits: Sequence[MemoryHit], bm25: float) -> list[str]:
    """Ids of memories that the best of those found lead to, and that were not found themselves.

    Args:
        bm25: what a point of it counts beside the cosine.
    """
    found = {hit.id for hit in hits}
    best = sorted(hits, key=lambda hit: -(hit.dense + bm25 * hit.bm25))[:_LEADING]
    further = dict.fromkeys(id for hit in best for id in hit.connected if id not in found)
    return [*further][:_LED_TO]


def with_connected(
    memories: Sequence[RecalledMemory],
    candidates: Sequence[RecalledMemory],
    hits: Mapping[str, MemoryHit],
    *,
    at_most: int,
    said: frozenset[str] = frozenset(),
    told: frozenset[str] = frozenset(),
) -> tuple[RecalledMemory, ...]:
    """The recalled memories with those that they lead to, and those that the recalled passages lead to: what rests on
    the same message as a passage stands for it. Each stands at one place only, the most relevant first.

    Args:
        memories: the recalled ones. What they are connected with stands below them.
        candidates: all that the search has found, by relevance; `memories` among it.
        hits: the same, by id.
        at_most: memories that are added in all.
        said: ids of the messages of recalled passages. What these lead to stands among the recalled memories.
        told: ids of messages that are shown whole; a memory that tells no more than these is not added.
    """
    known = {one.id: one for one in candidates if hits[one.id].expired_at is None}
    place = {id: number for number, id in enumerate(known)}
    taken = {memory.id for memory in memories}
    below: dict[str, list[str]] = {}
    level = [memory.id for memory in memories]
    level += [one.id for one in candidates if one.id not in taken and not said.isdisjoint(one.sources)]
    beside = set(level) - taken
    for most in EACH:
        parents: dict[str, str] = {}
        for parent in level:
            others = _nearest(hits[parent].connected, place, taken | parents.keys(), known, told)
            parents |= dict.fromkeys(others[:most], "" if parent in beside else parent)
        level = sorted(parents, key=lambda id: place[id])[:at_most]
        at_most -= len(level)
        taken.update(level)
        for id in level:
            below.setdefault(parents[id], []).append(id)

    def tree(id: str) -> tuple[RecalledMemory, ...]:
        return tuple(known[child]._replace(relevance=0.0, connected=tree(child)) for child in below.get(id, ()))

    shown = [memory._replace(connected=tree(memory.id)) for memory in memories]
    shown += [known[id]._replace(connected=tree(id)) for id in below.get("", ())]
    return tuple(sorted(shown, key=lambda memory: -memory.relevance))


def _nearest(
    connected: Sequence[str],
    place: Mapping[str, int],
    taken: Collection[str],
    known: Mapping[str, RecalledMemory],
    told: frozenset[str],
) -> list[str]:
    """Those that are there, are not shown yet and tell more than is; the most relevant first."""
    there = (id for id in dict.fromkeys(connected) if id in known and id not in taken)
    more = (id for id in there if not known[id].sources or not told.issuperset(known[id].sources))
    return sorted(more, key=lambda id: place[id])
