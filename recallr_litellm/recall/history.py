"""What was before a recalled memory, and what disputes it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence

from recallr_litellm.core.knowledge import Conflict, ConflictStatus, Reason
from recallr_litellm.core.recalled import RecalledMemory
from recallr_litellm.core.records import Memory, MemoryHit

_MOST_BEFORE = 2
"""Earlier versions that stand beside a memory."""


async def with_history(
    memories: Sequence[RecalledMemory],
    hits: Mapping[str, MemoryHit],
    versions: Callable[[Sequence[str]], Awaitable[Mapping[str, Sequence[Memory]]]],
    conflicts: Callable[[], Awaitable[Sequence[Conflict]]],
) -> tuple[RecalledMemory, ...]:
    """The memories, those that replaced something with that, those in doubt with what is in doubt. An earlier version
    that was recalled itself stands for itself.

    Args:
        hits: those found, by id.
        versions: ids of memories -> their earlier versions, oldest first. Asked once, if at all, as is the next.
        conflicts: those of the user.
    """
    found = [hit for memory in memories if (hit := hits.get(memory.id)) is not None]
    changed = [hit.id for hit in found if hit.reason is not Reason.INITIAL and not hit.chain]
    shown = {memory.id for memory in memories}
    before = await versions(changed) if changed else {}
    disputed: dict[str, str] = {}
    if any(hit.conflict for hit in found):
        disputed = disputes(await conflicts())
    return tuple(
        memory._replace(
            was=tuple(
                (version.expired_at, version.content)
                for version in reversed(before.get(memory.id, ()))
                if version.expired_at is not None
                and version.expiration_reason is Reason.CHANGE
                and version.id not in shown
            )[:_MOST_BEFORE],
            disputed=disputed.get(memory.id, ""),
        )
        for memory in memories
    )


def disputes(conflicts: Iterable[Conflict]) -> dict[str, str]:
    """Id of a memory → what was said that cannot be true as well, and what to ask the user; of those not settled."""
    return {one.memory: _question(one) for one in conflicts if one.status is ConflictStatus.PENDING}


def _question(conflict: Conflict) -> str:
    asked = " ".join(
        f"{one.question} ({' / '.join(one.options)})" if one.options else one.question for one in conflict.questions
    )
    return f"{conflict.content} {asked}".strip()
