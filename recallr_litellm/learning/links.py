"""Which memories are connected: they speak of the same, tell of one event, rest on one message, or say something alike.

Connections lead both ways, as far as the other end has room. What expires or is deleted takes none of its connections
along: whoever reads them passes over what is not there or not true, and the next memory takes its place.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence

from recallr_litellm.core.entities import name_key, same, spoken_of
from recallr_litellm.core.records import Memory
from recallr_litellm.learning.duplicates import Known

MOST = 8
"""Connections of one memory."""
HUB = 10
"""An entity that more of the memories looked at speak of connects only what happened at one time: it would connect all
with all."""
ALIKE = 0.6
"""Cosine from which on two memories are connected without a common entity."""
_DAY = 24 * 60 * 60 * 1000


def connections(memory: Memory, known: Sequence[Known], before: Sequence[Memory] = ()) -> tuple[str, ...]:
    """Ids of the memories that a memory is connected with, nearest first.

    Args:
        known: current memories near it.
        before: those that it was connected with, as far as they are there: first, if they still belong to it.
    """
    spoken = Counter(name_key(entity.name) for other, _ in known for entity in spoken_of(other))
    cosines = {other.id: cosine for other, cosine in known}

    def nearness(other: Memory) -> float:
        if other.id == memory.id or other.expired_at is not None:
            return 0.0
        common = {name_key(one.name) for one in spoken_of(memory) for two in spoken_of(other) if same(one, two)}
        told = sum(spoken[name] <= HUB for name in common)
        event = bool(common) and _at_one_time(memory, other)
        together = not set(memory.sources).isdisjoint(other.sources)
        cosine = cosines.get(other.id, 0.0)
        return 2.0 * told + event + together + (cosine if told or event or together or cosine >= ALIKE else 0.0)

    stay = [other.id for other in before if nearness(other) > 0]
    near = sorted(((nearness(other), other.id) for other, _ in known), key=lambda pair: (-pair[0], pair[1]))
    return tuple(dict.fromkeys((*stay, *(id for nearest, id in near if nearest > 0))))[:MOST]


def other_ends(
    memory: Memory, was: Collection[str], others: Sequence[Memory], alive: Collection[str]
) -> Iterator[Memory]:
    """The other ends of a memory's connections that change with them: they lead back to it, or no longer.

    Args:
        memory: with its connections.
        was: those that it had.
        others: among them the ends of both.
        alive: ids of current memories, of all that full ones of `others` lead to.
    """
    for other in others:
        leads = memory.id in other.connected
        if leads and other.id in was and other.id not in memory.connected:
            yield other.model_copy(update={"connected": tuple(id for id in other.connected if id != memory.id)})
        elif not leads and other.id in memory.connected:
            room = other.connected if len(other.connected) < MOST else [id for id in other.connected if id in alive]
            if len(room) < MOST:
                yield other.model_copy(update={"connected": (*room, memory.id)})


def _at_one_time(one: Memory, other: Memory) -> bool:
    """Whether what both say happened, or will, began within a day."""
    if one.event_start is None or other.event_start is None:
        return False
    return abs(one.event_start - other.event_start) < _DAY
