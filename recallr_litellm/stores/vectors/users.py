"""Part of the vector store: users, by their id, by their name, and those of a project."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping
from dataclasses import replace
from enum import StrEnum
from typing import Final, NamedTuple

from pydantic import JsonValue

from recallr_litellm.core.owner import Owner, Project
from recallr_litellm.core.records import User
from recallr_litellm.errors import VectorsRefused
from recallr_litellm.stores.vectors import points, schema
from recallr_litellm.stores.vectors.base import OpenedCollection
from recallr_litellm.stores.vectors.engine import Payload, Where, scope
from recallr_litellm.stores.vectors.points import description_of, meta_point
from recallr_litellm.stores.vectors.schema import Kind

_PAGE = 256
"""Points looked at in one call."""
_PAUSE_SECONDS = 0.005
"""Between two such calls: the embedded engine holds the interpreter's lock."""
_LISTED: Final = (schema.RECORD, schema.SEEN)


class UserOrder(StrEnum):
    """In which order users are listed."""

    LAST_SEEN = "last_seen"
    """Those heard of last first."""
    CREATED = "created"
    """Those made last first."""
    NAME = "name"
    """By the alphabet, without regard to case."""


class ListedUser(NamedTuple):
    """A user, and when it was last heard of."""

    user: User
    seen_at: int
    """Milliseconds since the epoch, UTC; that of a session not yet processed may be missing for a minute."""


class Users(OpenedCollection):
    """Each user is one point under its internal id, so renaming it is one write."""

    async def get_user(self, owner: Owner) -> User | None:
        """The user with the id of this owner, whatever its name is now."""
        found = await self.get_listed_user(owner)
        return found.user if found else None

    async def get_listed_user(self, owner: Owner) -> ListedUser | None:
        """The same, with when it was last heard of."""
        payload = await self._get(owner, Kind.USER)
        return _listed(payload) if payload else None

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
        await self._engine.upsert([points.user_point(owner, user, user.created_at)], keep_existing=True)
        existing = await self.get_listed_user(owner)
        if existing is not None and existing.user != user:
            user = user.model_copy(update={"created_at": existing.user.created_at})
            await self._engine.upsert([points.user_point(owner, user, existing.seen_at)])

    async def note_seen(self, owner: Owner, at: int) -> None:
        """Note that a user was heard of, unless that was noted of a later time.

        Args:
            at: milliseconds since the epoch.
        """
        ids = [points.point_id(owner, Kind.USER)]
        where = Where(owner, Kind.USER, ids=ids, time=schema.SEEN, until=at - 1)
        await self._engine.set_fields(where, {schema.SEEN: at})

    async def list_users(
        self,
        project: Project,
        *,
        offset: int,
        limit: int,
        metadata: Mapping[str, JsonValue] | None = None,
        part: str = "",
        order: UserOrder = UserOrder.CREATED,
    ) -> tuple[list[ListedUser], int]:
        """Users of a project, and how many there are in all.

        Args:
            offset: how many to leave out; at least 0.
            limit: at least 1.
            metadata: only users whose metadata has all of these entries.
            part: only users with this in their name, in any case.

        Raises:
            VectorsRefused: the Qdrant server is too old to find a part of a name.
        """
        where = Where(project, Kind.USER, tags=points.tags(metadata or {}), named_like=part.casefold())
        until = offset + limit
        try:
            total = await self._engine.count(where)
        except VectorsRefused as error:
            if not part:
                raise
            raise VectorsRefused("To find users by a part of their name, Qdrant 1.20 or later is needed") from error
        if order is UserOrder.NAME:
            names = [*await self._engine.values(where, schema.NAMED, until)][offset:]
            found = await self._all(replace(where, named=names), _LISTED) if names else []
            return sorted(map(_listed, found), key=lambda one: names.index(points.named(one.user))), total
        where = replace(where, time=schema.SEEN if order is UserOrder.LAST_SEEN else schema.AT)
        ids = (await self._newest_ids(where, until))[offset:until]
        by_id = await self._engine.read(ids) if ids else {}
        return [_listed(by_id[id]) for id in ids if id in by_id], total

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

    async def count_of_project(self, project: Project, kind: Kind) -> int:
        """How many users, processed sessions or current memories a project has, nearly: as the index has it, which
        costs nothing."""
        return await self._engine.count(Where(project, kind), roughly=True)

    async def count_of_users(self, project: Project, owners: Collection[Owner], kind: Kind) -> dict[Owner, int]:
        """How many processed sessions or current memories each of some users has; those without any are left out."""
        if not owners:
            return {}
        where = Where(project, kind, users=[owner.key for owner in owners])
        found = await self._engine.values(where, schema.SCOPE, len(owners))
        counts = {owner: found.get(scope(owner, kind), 0) for owner in owners}
        return {owner: count for owner, count in counts.items() if count}

    async def list_earlier(self) -> int:
        """Have users, sessions and memories that an earlier version has written listed and counted with the others.
        Done once for a collection.

        Returns:
            Of how many users.
        """
        meta = (await self._engine.read([points.META_ID]))[points.META_ID]
        if description_of(meta).listed:
            return 0
        changed, after = 0, None
        while True:
            page, after = await self._engine.scroll(None, _PAGE, fields=[schema.SCOPE, schema.NAMED], after=after)
            earlier = [one.id for one in page if schema.NAMED not in one.payload and _is_user(one.payload)]
            for payload in (await self._engine.read(earlier)).values() if earlier else ():
                await self._list_earlier(points.record_of(payload, User))
                changed += 1
                await asyncio.sleep(_PAUSE_SECONDS)
            if after is None:
                break
            await asyncio.sleep(_PAUSE_SECONDS)
        meta = (await self._engine.read([points.META_ID]))[points.META_ID]
        await self._engine.upsert([meta_point(description_of(meta)._replace(listed=True))])
        return changed

    async def _list_earlier(self, user: User) -> None:
        """The user itself last, by which it is seen that all is done."""
        owner, project = user.owner, Project(user.project)
        for where in (Where(owner, Kind.SESSION), Where(owner, Kind.MEMORY, lacking=[schema.PAST])):
            await self._engine.set_fields(where, {schema.PROJECT: scope(project, where.kind)})
        newest, _ = await self._engine.scroll(Where(owner, Kind.SESSION), 1, fields=[schema.AT], newest_first=True)
        seen_at = max([user.created_at, *(int(one.payload[schema.AT]) for one in newest)])
        await self._engine.upsert([points.user_point(owner, user, seen_at)])


def _listed(payload: Payload) -> ListedUser:
    user = points.record_of(payload, User)
    return ListedUser(user, payload.get(schema.SEEN, user.created_at))


def _is_user(payload: Payload) -> bool:
    scopes = payload.get(schema.SCOPE, "")
    return str(scopes[0] if isinstance(scopes, list) else scopes).endswith(f"/{Kind.USER}")
