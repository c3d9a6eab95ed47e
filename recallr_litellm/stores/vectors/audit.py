"""Part of the vector store: what people changed."""

from __future__ import annotations

from recallr_litellm.core.audit import AuditEntry
from recallr_litellm.core.owner import Project
from recallr_litellm.stores.vectors import points, schema
from recallr_litellm.stores.vectors.base import OpenedCollection
from recallr_litellm.stores.vectors.engine import Where
from recallr_litellm.stores.vectors.schema import Kind


class AuditRecords(OpenedCollection):
    """Writing and reading what people changed, by project."""

    async def put_audit(self, project: Project, entry: AuditEntry) -> None:
        """Write down a change, or replace what was written of it."""
        await self._engine.upsert([points.audit_point(project, entry)])

    async def audit(self, project: Project, most: int) -> tuple[list[AuditEntry], int]:
        """The newest changes, newest first, and how many there are in all."""
        where = Where(project, Kind.AUDIT)
        found = [points.record_of(payload, AuditEntry) for payload in await self._newest(where, most, [schema.RECORD])]
        found.sort(key=lambda entry: (-entry.at, entry.id))
        return found[:most], await self._engine.count(where)
