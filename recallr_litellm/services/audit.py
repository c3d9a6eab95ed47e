"""Who changed what in a project, for people who have to answer for it."""

from __future__ import annotations

import secrets
import time

from recallr_litellm.core.audit import AuditEntry
from recallr_litellm.core.owner import Project
from recallr_litellm.stores.vectors import VectorStore


class Audit:
    """The audit list of each project."""

    def __init__(self, vectors: VectorStore) -> None:
        self._vectors = vectors

    async def note(self, project: Project, who: str, action: str, /, **target: str) -> None:
        """Write down a change, before it is made: none is made that is not in the list.

        Args:
            who: name of the key that the person came in with.
            target: kind → id of what is changed.

        Raises:
            Unavailable: the vector store does not answer.
        """
        at = time.time_ns() // 1_000_000
        entry = AuditEntry(id=secrets.token_hex(16), at=at, who=who, action=action, target=target)
        await self._vectors.add_audit(project, entry)

    async def page(self, project: Project, *, offset: int, limit: int) -> tuple[list[AuditEntry], int]:
        """Some of the changes, newest first, and how many there are."""
        return await self._vectors.audit(project, offset=offset, limit=limit)
