"""Conflicts: new facts that contradict a memory, until the user has said what is true."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from recallr_litellm.core.knowledge import Answer, Conflict, ConflictStatus
from recallr_litellm.core.owner import Owner
from recallr_litellm.core.records import Memory
from recallr_litellm.errors import ConflictNotFound, InvalidAnswers
from recallr_litellm.learning.knowing import Knowing
from recallr_litellm.learning.model import WriteJson, Written
from recallr_litellm.learning.reconciling import OnConflict
from recallr_litellm.learning.resolving import settled
from recallr_litellm.learning.versions import Changes, resolved
from recallr_litellm.memory.budget import TokenBudget
from recallr_litellm.metrics import LEARNING_CALLS, LEARNING_TOKENS


@dataclass(frozen=True, slots=True)
class ConflictDetails:
    """A conflict, the memory that is in it, and what came of it."""

    conflict: Conflict
    memory: Memory | None
    """As it is; the version that it has ended, if it has. None where it was deleted meanwhile."""
    became: Memory | None = None
    """What held once it was resolved, whatever has become of that since."""


class Conflicts:
    """Lists conflicts and settles them. To a user, those of all others are unknown: `ConflictNotFound`.

    Args:
        write: asks the model to settle what no rule settles; None where there is none.
        budget: counts what that uses. Who answers is not made to wait for the next day.
        on_resolved: told of each conflict that is settled, perhaps twice.
    """

    def __init__(
        self,
        knowing: Knowing,
        write: WriteJson | None,
        budget: TokenBudget,
        *,
        on_resolved: OnConflict | None = None,
    ) -> None:
        self._vectors = knowing.vectors
        self._knowing = knowing
        self._write = write
        self._budget = budget
        self._on_resolved = on_resolved

    async def page(
        self,
        owner: Owner,
        *,
        offset: int,
        limit: int,
        status: ConflictStatus | None = None,
        by_resolution: bool = False,
        oldest_first: bool = False,
    ) -> tuple[list[ConflictDetails], int]:
        """Some of a user's conflicts, and how many there are in all."""
        found = await self._vectors.conflicts(owner, status)
        found.sort(
            key=lambda one: ((one.resolved_at or 0) if by_resolution else one.created_at, one.id),
            reverse=not oldest_first,
        )
        return await self._details(owner, found[offset : offset + limit]), len(found)

    async def get(self, owner: Owner, conflict_id: str) -> ConflictDetails:
        """One conflict.

        Raises:
            ConflictNotFound: the owner has none of this id.
        """
        conflict = await self._vectors.get_conflict(owner, conflict_id)
        if conflict is None:
            raise ConflictNotFound(f"Merge conflict {conflict_id} not found")
        return (await self._details(owner, [conflict]))[0]

    async def resolve(
        self, owner: Owner, conflict_id: str, answers: Sequence[Answer], *, repeatable: bool = False
    ) -> ConflictDetails:
        """Settle a conflict by what the user answered: the memory gets a version, or stays as it is.

        Args:
            repeatable: the same answers once more are no error, and change nothing.

        Raises:
            ConflictNotFound: the owner has none of this id.
            InvalidAnswers: they are not answers to its questions, or it is settled already.
            Unavailable: the model, or a store, does not answer; nothing has changed.
        """
        while True:
            found = await self.get(owner, conflict_id)
            conflict, known = found.conflict, found.memory
            if repeatable and conflict.status is ConflictStatus.RESOLVED and conflict.answers == tuple(answers):
                break
            _check(conflict, answers)
            is_true = known is not None and known.expired_at is None
            write = partial(self._counted, owner, self._write) if self._write is not None else None
            text = await settled(conflict, known.content, answers, write) if known and is_true else None
            if await self._settle(owner, conflict, known, text, answers):
                found = await self.get(owner, conflict_id)
                break
        if self._on_resolved is not None:
            await self._on_resolved(owner, found.conflict)
        return found

    async def _settle(
        self, owner: Owner, conflict: Conflict, known: Memory | None, text: str | None, answers: Sequence[Answer]
    ) -> bool:
        """Write what came of it. False where the memory, or the conflict, has been changed since it was read."""
        now = time.time_ns() // 1_000_000
        status = ConflictStatus.FAILED if text is None else ConflictStatus.RESOLVED
        update = {"answers": tuple(answers), "resolved_at": now, "status": status}
        ended = conflict.model_copy(update=update)
        others = await self._vectors.conflicts(owner, ConflictStatus.PENDING)
        waiting = next((one.id for one in others if one.memory == conflict.memory and one.id != conflict.id), None)
        changed = False

        def change(memory: Memory | None, _: Sequence[Memory]) -> Changes:
            nonlocal changed
            changed = (memory and (memory.content, memory.expired_at)) != (known and (known.content, known.expired_at))
            if changed:
                return Changes()
            if memory is None or memory.expired_at is not None:
                return Changes(conflict=ended)
            return resolved(memory, conflict, text, now, waiting=waiting)._replace(conflict=ended)

        async def is_open() -> bool:
            return await self._vectors.get_conflict(owner, conflict.id) == conflict

        written = await self._knowing.change(owner, conflict.memory, change, wanted=is_open)
        return written is not None and not changed

    async def _counted(self, owner: Owner, write: WriteJson, *asked: Any, **more: Any) -> Written:
        LEARNING_CALLS.labels("conflicts").inc()
        written = await write(*asked, **more)
        LEARNING_TOKENS.labels("conflicts").inc(written.tokens)
        await self._budget.spend(owner.project, written.tokens)
        return written

    async def _details(self, owner: Owner, conflicts: Sequence[Conflict]) -> list[ConflictDetails]:
        memories = await self._vectors.get_memories(owner, list({one.memory for one in conflicts}))
        by_id = {memory.id: memory for memory in memories}
        resolved = {one.memory for one in conflicts if one.status is ConflictStatus.RESOLVED}
        earlier = await self._vectors.versions(owner, list(resolved))
        return [_details_of(one, by_id.get(one.memory), earlier.get(one.memory, ())) for one in conflicts]


def _details_of(conflict: Conflict, memory: Memory | None, earlier: Sequence[Memory]) -> ConflictDetails:
    at = conflict.resolved_at
    if conflict.status is not ConflictStatus.RESOLVED or at is None:
        return ConflictDetails(conflict, memory)
    versions = [*earlier, *([memory] if memory is not None else [])]
    ended = next((one for one in earlier if one.conflict == conflict.id), None)
    if ended is not None:
        return ConflictDetails(conflict, ended, next((one for one in versions if one.created_at == at), None))
    held = [one for one in versions if one.created_at <= at and (one.expired_at is None or one.expired_at > at)]
    then = held[-1] if held else memory
    return ConflictDetails(conflict, then, then)


def _check(conflict: Conflict, answers: Sequence[Answer]) -> None:
    """Texts as the SDK's exceptions look for them."""
    if conflict.status in (ConflictStatus.RESOLVED, ConflictStatus.FAILED):
        raise InvalidAnswers(f"Merge conflict {conflict.id} is already resolved")
    asked = {one.question: one for one in conflict.questions}
    if unknown := [one.question for one in answers if one.question not in asked]:
        raise InvalidAnswers(f"Invalid questions provided: {'; '.join(unknown)}")
    if missing := [question for question in asked if question not in {one.question for one in answers}]:
        raise InvalidAnswers(f"Missing answers for the following questions: {'; '.join(missing)}")
    for one in answers:
        if asked[one.question].options and one.answer not in asked[one.question].options:
            raise InvalidAnswers(f"Invalid answer '{one.answer}' for question '{one.question}'")
