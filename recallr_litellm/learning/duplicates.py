"""What is known of a fact already, decided without a model where that is safe."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from recallr_litellm.core.facts import Fact
from recallr_litellm.core.knowledge import OF_THE_ASSISTANT, Kind
from recallr_litellm.core.records import Memory
from recallr_litellm.core.traits import gist
from recallr_litellm.learning.details import details, negates

SAME = 0.97
"""Cosine from which on two sentences with the same details say the same."""
RELATED = 0.5
"""Cosine from which on the model is asked about two facts that share neither attribute nor entity."""
MOST_CANDIDATES = 5


class Known(NamedTuple):
    """A memory that may be about the same as a fact."""

    memory: Memory
    cosine: float


def same_as(fact: Fact, known: Sequence[Known]) -> Memory | None:
    """The memory that says just this, if one surely does."""
    for memory, cosine in sorted(known, key=lambda one: -one.cosine):
        if memory.subject.casefold() != fact.subject.casefold() or memory.negated != fact.negated:
            continue
        if another_time(fact, memory) or (memory.kind in OF_THE_ASSISTANT) != (fact.kind in OF_THE_ASSISTANT):
            continue
        if gist(memory.content) == gist(fact.text):
            return memory
        alike = details(memory.content) == details(fact.text) and negates(memory.content) == negates(fact.text)
        if cosine >= SAME and alike and memory.kind == fact.kind and _same_time(fact, memory):
            return memory
    return None


def another_time(fact: Fact, memory: Memory) -> bool:
    """Whether both tell of events of different times: a second marathon is not the first one told again."""
    if fact.kind is not Kind.EVENT or memory.kind is not Kind.EVENT:
        return False
    return fact.start is not None and memory.event_start is not None and fact.start != memory.event_start


def candidates(fact: Fact, known: Sequence[Known]) -> list[Memory]:
    """The memories that a model is to compare the fact with, most alike first. Similarity only nominates."""
    subject, entities = fact.subject.casefold(), {one.name.casefold() for one in fact.entities}
    related = [
        (cosine, memory)
        for memory, cosine in known
        if memory.expired_at is None
        and memory.subject.casefold() == subject
        and (
            cosine >= RELATED
            or (memory.attribute == fact.attribute and memory.attribute != "other")
            or not entities.isdisjoint(one.name.casefold() for one in memory.entities)
        )
    ]
    related.sort(key=lambda pair: (-pair[0], pair[1].id))
    return [memory for _, memory in related[:MOST_CANDIDATES]]


def _same_time(fact: Fact, memory: Memory) -> bool:
    return (fact.start, fact.end) == (memory.event_start, memory.event_end)
