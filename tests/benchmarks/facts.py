"""LoCoMo's recorded facts (`observation`: sentences that an LLM wrote of each session) as memories."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Any

from recallr_litellm.core.records import Memory

CONNECTED_WITHIN = 1
"""Messages between two of the sources of two facts, up to which they are connected: that on the same thing which was
said in one breath, or in the reply to it."""


def message_ids(written: Any) -> list[str]:
    """Ids of messages (`D<session>:<turn>`) in what stands for one or several of them, in whatever form."""
    return list(dict.fromkeys(re.findall(r"D\d+:\d+", str(written))))


def recorded(observation: Mapping[str, Any], session: str, at: Mapping[str, int]) -> list[Memory]:
    """The facts of one session; those without a message of it that they rest on are left out.

    Args:
        observation: speaker → facts, each a list of its text and the id, or ids, of messages.
        session: its id.
        at: id of each message, in order → when it was said, milliseconds since the epoch, UTC.
    """
    place = {id: number for number, id in enumerate(at)}
    facts = [
        Memory(
            id=hashlib.sha256(f"{session} {speaker} {number} {text}".encode()).hexdigest()[:32],
            content=text,
            created_at=max(at[id] for id in sources),
            session=session,
            sources=sources,
        )
        for speaker, told in observation.items()
        for number, (text, *rests_on) in enumerate(told)
        if (sources := tuple(id for id in message_ids(rests_on) if id in at))
    ]

    def apart(one: Memory, other: Memory) -> int:
        return min(abs(place[a] - place[b]) for a in one.sources for b in other.sources)

    def connected(fact: Memory) -> tuple[str, ...]:
        near = sorted((apart(fact, other), other.id) for other in facts if other is not fact)
        return tuple(id for distance, id in near if distance <= CONNECTED_WITHIN)

    return [fact.model_copy(update={"connected": connected(fact)}) for fact in facts]
