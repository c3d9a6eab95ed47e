"""How much there is in a project."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from recallr_litellm.core.owner import Project
from recallr_litellm.services.operations import Operations
from recallr_litellm.services.sessions import SessionStatus
from recallr_litellm.stores.vectors import VectorStore
from recallr_litellm.stores.vectors.schema import Kind


@dataclass(frozen=True, slots=True)
class Total:
    """What a project has, nearly: the numbers are those of indexes, and not all of the same instant."""

    users: int
    sessions: Mapping[SessionStatus, int]
    """One that was processed and is used again counts as both."""
    memories: int
    """Current ones."""


class Totals:
    """Counts what a project has, at a cost that does not grow with it."""

    def __init__(self, vectors: VectorStore, operations: Operations) -> None:
        self._vectors = vectors
        self._operations = operations

    async def of(self, project: Project) -> Total:
        """What a project has.

        Raises:
            Unavailable: a store does not answer.
        """
        queues = (await self._operations.queues()).get(project.id, {})
        users, processed, memories = await asyncio.gather(
            *(self._vectors.count_of_project(project, kind) for kind in (Kind.USER, Kind.SESSION, Kind.MEMORY))
        )
        sessions = {
            SessionStatus.PENDING: queues.get("pending", 0) + queues.get("due", 0),
            SessionStatus.PROCESSING: queues.get("processing", 0),
            SessionStatus.PROCESSED: processed,
            SessionStatus.FAILED: queues.get("failed", 0),
        }
        return Total(users, sessions, memories)
