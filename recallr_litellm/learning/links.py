"""Which memories are connected: they speak of the same, happened together, or say something alike."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from recallr_litellm.core.records import Memory
from recallr_litellm.learning.duplicates import Known

MOST = 8
"""Connections of one memory."""
HUB = 10
"""An entity that more of the memories looked at speak of connects nothing: it would connect all with all."""
ALIKE = 0.6
"""Cosine from which on two memories are connected without a common entity."""


def connections(memory: Memory, known: Sequence[Known]) -> tuple[str, ...]:
    """Ids of the memories that a memory is connected with, nearest first; those that it has stay.

    Args:
        known: current memories near it.
    """
    spoken_of = Counter(name for other, _ in known for name in _names(other))
    names = {name for name in _names(memory) if spoken_of[name] <= HUB}

    def nearness(other: Memory, cosine: float) -> float:
        shared = len(names & _names(other))
        together = bool(set(memory.sources) & set(other.sources))
        near = cosine >= ALIKE
        return 2.0 * shared + 1.0 * together + (cosine if shared or together or near else 0.0)

    found = [
        (nearness(other, cosine), other.id)
        for other, cosine in known
        if other.id != memory.id and other.expired_at is None
    ]
    new = [id for near, id in sorted(found, key=lambda pair: (-pair[0], pair[1])) if near > 0]
    return tuple(dict.fromkeys((*memory.connected, *new)))[:MOST]


def with_back_links(memory: Memory, others: Sequence[Memory]) -> list[Memory]:
    """Those of the other ends of a memory's connections that do not lead back to it yet and have room."""
    return [
        other.model_copy(update={"connected": (*other.connected, memory.id)})
        for other in others
        if other.id in memory.connected and memory.id not in other.connected and len(other.connected) < MOST
    ]


def _names(memory: Memory) -> set[str]:
    return {entity.name.casefold() for entity in memory.entities} | (
        {memory.subject.casefold()} if memory.subject != "user" else set()
    )
