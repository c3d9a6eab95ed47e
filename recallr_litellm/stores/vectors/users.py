"""Part of the vector store: users, by their id, by their name, and those of a project."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping

from pydantic import JsonValue

from recallr_litellm.core.owner import Owner, Project
from recallr_litellm.core.records import User
from recallr_litellm.stores.vectors import points, schema
from recallr_litellm.stores.vectors.base import OpenedCollection
from recallr_litellm.stores.vectors.engine import Where
from recallr_litellm.stores.vectors.points import description_of, meta_point
from recallr_litellm.stores.vectors.schema import Kind

_PAGE = 256
"""Points looked at in one call."""
_PAUSE_SECONDS = 0.005
"""Between two such calls: the embedded engine holds the interpreter's lock."""


class Users(OpenedCollection):
    """Each user is one point under its internal id, so renaming it is one write."""

    async def get_user(self, owner: Owner) -> User | None:
        """The user with the id of this owner, whatever its name is now."""
        payload = await self._get(owner, Kind.USER)
        return points.record_of(payload, User) if payload else None

    async def find_user(self, project: Project, name: str) -> User | None:
        """The user of a project who has this name now."""
        owner = Owner(project.id, name)
        first = await self.get_user(owner)
        if first is not None and first.user == name:
            return first
        # The name was given up by its first user, or taken by one that had another name, or was forgotten.
        named = Where(project, Kind.USER, {schema.NAME: owner.name_key})
        users = [points.record_of(payload, User) for payload in await self._all(named, [schema.RECORD])]
        return min(users, key=lambda user: (user.created_at, user.id), default=None)

    async def put_user(self, owner: Owner, user: User) -> None:
        """Create the user, or replace all of it but `created_at`, which is that of the first write.

        Raises:
            ValueError: `user` is not the user of `owner`.
        """
        if user.owner != owner:
            raise ValueError("a user can only be put under its own owner")
        # Insert first, then read: also when two workers create the same user, the first write wins.
        await self._engine.upsert([points.user_point(owner, user)], keep_existing=True)
        existing = await self.get_user(owner)
        if existing is not None and existing != user:
            user = user.model_copy(update={"created_at": existing.created_at})
            await self._engine.upsert([points.user_point(owner, user)])

    async def list_users(
        self, project: Project, *, offset: int, limit: int, metadata: Mapping[str, JsonValue] | None = None
    ) -> tuple[list[User], int]:
        """Users of a project, those made last first, and how many there are in all.

        Args:
            offset: how many to leave out; at least 0. What is left out is read all the same.
            limit: at least 1.
            metadata: only users whose metadata has all of these entries.
        """
        where = Where(project, Kind.USER, tags=points.tags(metadata or {}))
        found = [
            points.record_of(payload, User) for payload in await self._newest(where, offset + limit, [schema.RECORD])
        ]
        found.sort(key=lambda user: (-user.created_at, user.id, user.user))
        return found[offset : offset + limit], await self._engine.count(where)

    async def users_of(self, project: Project) -> AsyncIterator[User]:
        """Every user of a project, in any order."""
        after: str | None = None
        while True:
            page, after = await self._engine.scroll(
                Where(project, Kind.USER), _PAGE, fields=[schema.RECORD], after=after
            )
            for point in page:
                yield points.record_of(point.payload, User)
            if after is None:
                return

    async def last_used(self, owner: Owner) -> int | None:
        """When a processed session of this user was last used, milliseconds since the epoch; None if it has none."""
        newest, _ = await self._engine.scroll(Where(owner, Kind.SESSION), 1, fields=[schema.AT], newest_first=True)
        return int(newest[0].payload[schema.AT]) if newest else None

    async def list_earlier_users(self) -> int:
        """Make users that an earlier version has written part of their project's list. Done once for a collection.

        Returns:
            How many there were.
        """
        meta = (await self._engine.read([points.META_ID]))[points.META_ID]
        if description_of(meta).users_listed:
            return 0
        changed, after = 0, None
        while True:
            page, after = await self._engine.scroll(None, _PAGE, fields=[schema.SCOPE], after=after)
            earlier = [one.id for one in page if str(one.payload.get(schema.SCOPE, "")).endswith(f"/{Kind.USER}")]
            for payload in (await self._engine.read(earlier)).values() if earlier else ():
                user = points.record_of(payload, User)
                await self._engine.upsert([points.user_point(user.owner, user)])
                changed += 1
            if after is None:
                break
            await asyncio.sleep(_PAUSE_SECONDS)
        meta = (await self._engine.read([points.META_ID]))[points.META_ID]
        await self._engine.upsert([meta_point(description_of(meta)._replace(users_listed=True))])
        return changed
