"""Part of the vector store: projects and their API keys."""

from __future__ import annotations

from recallr_litellm.core.owner import GATEWAY
from recallr_litellm.core.projects import KeyRecord, ProjectRecord
from recallr_litellm.stores.vectors import points, schema
from recallr_litellm.stores.vectors.base import OpenedCollection
from recallr_litellm.stores.vectors.engine import Where
from recallr_litellm.stores.vectors.schema import Kind


class ProjectRecords(OpenedCollection):
    """Writing and reading projects and keys. There are few: all are read at once."""

    async def projects(self) -> list[ProjectRecord]:
        """All, in no order."""
        payloads = await self._all(Where(GATEWAY, Kind.PROJECT), [schema.RECORD])
        return [points.record_of(payload, ProjectRecord) for payload in payloads]

    async def get_project(self, id: str) -> ProjectRecord | None:
        """One of them."""
        payload = await self._get(GATEWAY, Kind.PROJECT, id)
        return points.record_of(payload, ProjectRecord) if payload else None

    async def put_project(self, project: ProjectRecord, *, keep_existing: bool = False) -> None:
        """Write a project, replacing the one of its id or leaving that alone."""
        await self._engine.upsert([points.project_point(project)], keep_existing=keep_existing)

    async def keys(self) -> list[KeyRecord]:
        """All, revoked ones too, in no order."""
        payloads = await self._all(Where(GATEWAY, Kind.KEY), [schema.RECORD])
        return [points.record_of(payload, KeyRecord) for payload in payloads]

    async def get_key(self, id: str) -> KeyRecord | None:
        """One of them."""
        payload = await self._get(GATEWAY, Kind.KEY, id)
        return points.record_of(payload, KeyRecord) if payload else None

    async def put_key(self, key: KeyRecord) -> None:
        """Write a key, replacing the one of its id."""
        await self._engine.upsert([points.key_point(key)])
