"""Users of a project."""

from __future__ import annotations

import time

from pydantic import JsonValue

from recallr_litellm.core.owner import Owner, Project
from recallr_litellm.core.records import User
from recallr_litellm.stores.vectors import VectorStore


class Users:
    """Finds users."""

    def __init__(self, vectors: VectorStore) -> None:
        self._vectors = vectors

    async def find(self, project: Project, name: str) -> Owner | None:
        """The owner of a user's memory; None for a user that this project does not have."""
        owner = Owner(project.id, name)
        return owner if await self._vectors.get_user(owner) is not None else None

    async def create(self, project: Project, name: str, metadata: dict[str, JsonValue]) -> User:
        """Make a user."""
        owner = Owner(project.id, name)
        user = User(project=project.id, user=name, created_at=time.time_ns() // 1_000_000, metadata=metadata)
        await self._vectors.put_user(owner, user)
        return user

    async def get(self, owner: Owner) -> User | None:
        """The record of a user."""
        return await self._vectors.get_user(owner)
