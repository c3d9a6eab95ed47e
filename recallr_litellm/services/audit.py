"""Who changed what in a project, for people who have to answer for it."""

from __future__ import annotations

import secrets
import time
from collections.abc import Collection
from typing import Final

from recallr_litellm.core.audit import AuditEntry
from recallr_litellm.core.owner import Project
from recallr_litellm.stores.vectors import VectorStore

MOST_SEARCHED: Final = 5_000
"""Changes of a project, the newest, among which some are looked for."""


class Audit:
    """The audit list of each project."""

    def __init__(self, vectors: VectorStore) -> None:
        self._vectors = vectors

    async def note(self, project: Project, who: str, action: str, /, **target: str) -> AuditEntry:
        """Write down a change, before it is made: none is made that is not in the list.

        Args:
            who: name of the key that the person came in with.
            target: kind → id of what is changed.

        Raises:
            Unavailable: the vector store does not answer.
        """
        at = time.time_ns() // 1_000_000
        entry = AuditEntry(id=secrets.token_hex(16), at=at, who=who, action=action, target=target)
        await self._vectors.put_audit(project, entry)
        return entry

    async def refused(self, project: Project, entry: AuditEntry) -> None:
        """Write down that a change was not made.

        Raises:
            Unavailable: the vector store does not answer.
        """
        await self._vectors.put_audit(project, entry.model_copy(update={"refused": True}))

    async def page(
        self, projects: Collection[str], *, offset: int, limit: int, who: str = "", action: str = "", target: str = ""
    ) -> tuple[list[tuple[str, AuditEntry]], int]:
        """Some of the changes of these projects, each with its project, newest first; and how many there are.

        Args:
            who: only by keys whose name has this in it, in any case.
            action: only those that have this in their name, likewise.
            target: only of what has this in its id, likewise.
        """
        wanted = offset + limit if not (who or action or target) else MOST_SEARCHED
        found: list[tuple[str, AuditEntry]] = []
        total = 0
        for project in projects:
            entries, there = await self._vectors.audit(Project(project), wanted)
            found += [(project, entry) for entry in entries]
            total += there

        def fits(entry: AuditEntry) -> bool:
            return (
                who.lower() in entry.who.lower()
                and action.lower() in entry.action.lower()
                and (not target or any(target.lower() in id.lower() for id in entry.target.values()))
            )

        if who or action or target:
            found = [(project, entry) for project, entry in found if fits(entry)]
            total = len(found)
        found.sort(key=lambda one: (-one[1].at, one[1].id))
        return found[offset : offset + limit], total
