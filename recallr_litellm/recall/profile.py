"""The profile: what is always worth knowing of a user. A view over what is known now, made anew whenever it is read.

Code picks its lines, no model: memories that a person has pinned, then those of the attributes below.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator
from datetime import datetime
from itertools import chain
from typing import Final, NamedTuple

from recallr_litellm.core.knowledge import OF_THE_ASSISTANT, SINGLE, USER, Attribute, Kind
from recallr_litellm.core.owner import Owner
from recallr_litellm.core.records import Memory
from recallr_litellm.core.tokens import tokens_shown
from recallr_litellm.recall.history import disputes
from recallr_litellm.stores.vectors import VectorStore

ATTRIBUTES: Final = (
    *(Attribute.NAME, Attribute.ALLERGY, Attribute.MEDICATION, Attribute.HOME, Attribute.JOB, Attribute.FAMILY),
    *(Attribute.RELATIONSHIP, Attribute.PET, Attribute.DIET, Attribute.HEALTH, Attribute.LANGUAGE, Attribute.BIRTHDAY),
    *(Attribute.AGE, Attribute.GOAL, Attribute.PROJECT, Attribute.EDUCATION, Attribute.ORIGIN),
)
"""Of the user, the most important first."""
_RANK: Final = {attribute: rank for rank, attribute in enumerate(ATTRIBUTES)}
_AT_ONCE: Final = 3
"""Memories of an attribute that come before the first of the next one: fifty goals leave room for a dog."""
_OF_A_TIME: Final = frozenset({Kind.PLAN, Kind.COMMITMENT, Kind.DECISION})
"""What is no longer worth knowing once its time is over."""
_PASSING: Final = OF_THE_ASSISTANT | {Kind.EVENT}
_READ: Final = 256
"""Memories that are looked at, the newest: pinned ones and those of attributes with one value, and as many others."""
_MARK_TOKENS: Final = 12
"""What the date before a line takes, and what stands around a dispute."""


class ProfileLine(NamedTuple):
    """A memory in the profile."""

    memory: Memory
    disputed: str = ""
    """What else was said that cannot be true as well, and what to ask the user about it."""


class Profiles:
    """Reads the profiles of users.

    Args:
        tokens: most tokens of the profile of a project's users; 0: there is none.
        count_tokens: tokens of a text.
    """

    def __init__(
        self, vectors: VectorStore, *, tokens: Callable[[str], int], count_tokens: Callable[[str], int]
    ) -> None:
        self._vectors = vectors
        self._tokens = tokens
        self._count_tokens = count_tokens

    async def lines(
        self, owner: Owner, *, now: datetime, exclude_sessions: Collection[str] = ()
    ) -> tuple[ProfileLine, ...]:
        """The lines of a user's profile, the most important first.

        Args:
            now: aware: plans of a time before are over.
            exclude_sessions: ids of sessions from which nothing is wanted.

        Raises:
            VectorsUnavailable: the store did not answer.
        """
        room = self._tokens(owner.project)
        if room <= 0:
            return ()
        several = frozenset(ATTRIBUTES) - SINGLE
        found = await asyncio.gather(
            *(
                self._vectors.memories_of_user(owner, some, pinned=pinned, n=_READ, exclude_sessions=exclude_sessions)
                for some, pinned in ((SINGLE & set(ATTRIBUTES), True), (several, False))
            )
        )
        memories = list(picked(chain(*found), round(now.timestamp() * 1000)))
        disputed: dict[str, str] = {}
        if any(memory.conflict for memory in memories):
            disputed = disputes(await self._vectors.conflicts(owner))
        lines = []
        for memory in memories:
            line = ProfileLine(memory, disputed.get(memory.id, ""))
            cost = _MARK_TOKENS + tokens_shown(f"{memory.content} {line.disputed}".strip(), self._count_tokens)
            if cost <= room:
                room -= cost
                lines.append(line)
            if room <= _MARK_TOKENS:
                break
        return tuple(lines)


def picked(memories: Iterable[Memory], now: int) -> Iterator[Memory]:
    """What is always worth knowing, the most important first.

    Args:
        memories: current ones.
        now: milliseconds since the epoch, UTC.
    """
    by_attribute: defaultdict[Attribute, list[Memory]] = defaultdict(list)
    pinned = []
    for memory in {memory.id: memory for memory in memories}.values():
        if memory.pinned:
            pinned.append(memory)
        elif _is_lasting(memory, now):
            by_attribute[memory.attribute].append(memory)
    yield from sorted(pinned, key=lambda one: (_RANK.get(one.attribute, len(_RANK)), *_weight(one)))
    placed = [
        (place // _AT_ONCE, _RANK[attribute], place, memory)
        for attribute, some in by_attribute.items()
        for place, memory in enumerate(sorted(some, key=_weight))
    ]
    yield from (memory for *_, memory in sorted(placed, key=lambda one: one[:3]))


def _is_lasting(memory: Memory, now: int) -> bool:
    if memory.subject != USER or memory.attribute not in _RANK or memory.kind in _PASSING:
        return False
    over = memory.event_end if memory.event_end is not None else memory.event_start
    return memory.kind not in _OF_A_TIME or over is None or over >= now


def _weight(memory: Memory) -> tuple[float, int, int, str]:
    """The better known comes first, then the newer."""
    return -memory.confidence, -len(memory.sources), -memory.created_at, memory.id
