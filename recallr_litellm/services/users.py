"""Users of a project."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from pydantic import JsonValue

from recallr_litellm.core.owner import Owner, Project
from recallr_litellm.core.records import User
from recallr_litellm.errors import UserExists, UserNotFound
from recallr_litellm.memory.users import UserDirectory
from recallr_litellm.services.forgetting import Forgetting, Forgotten
from recallr_litellm.stores.state import StateStore
from recallr_litellm.stores.vectors import VectorStore
from recallr_litellm.stores.vectors.schema import Kind
from recallr_litellm.stores.vectors.users import ListedUser, UserOrder


@dataclass(frozen=True, slots=True)
class UserDetails:
    """A user, and when it was last heard of."""

    user: User
    last_active_at: int
    """Milliseconds since the epoch, UTC: the last use of a session, or when the user was made."""


class UserCounts(NamedTuple):
    """How much there is of a user."""

    sessions: int
    """Processed ones."""
    memories: int
    """Current ones."""


@dataclass(frozen=True, slots=True)
class UserPage:
    """Some of the users of a project."""

    users: Sequence[UserDetails]
    total: int
    """How many there are in all."""


class Users:
    """Finds, lists, makes, changes and forgets users.

    Every method raises `Unavailable` when a store does not answer.
    """

    def __init__(
        self, state: StateStore, vectors: VectorStore, directory: UserDirectory, forgetting: Forgetting
    ) -> None:
        self._state = state
        self._vectors = vectors
        self._directory = directory
        self._forgetting = forgetting

    async def find(self, project: Project, name: str) -> Owner | None:
        """The owner of a user's memory; None for a user that this project does not have."""
        return await self._directory.find(project, name)

    async def get(self, owner: Owner) -> UserDetails:
        """One user.

        Raises:
            UserNotFound: it was forgotten.
        """
        found = await self._vectors.get_listed_user(owner)
        if found is None:
            raise UserNotFound(f"User {owner.user} not found")
        return (await self._details([found]))[0]

    async def list(
        self,
        project: Project,
        *,
        offset: int,
        limit: int,
        metadata: Mapping[str, JsonValue] | None = None,
        part: str = "",
        order: UserOrder = UserOrder.CREATED,
    ) -> UserPage:
        """Users of a project.

        Args:
            offset: how many to leave out.
            limit: most users to return; at least 1.
            metadata: only users whose metadata has all of these entries.
            part: only users with this in their name, in any case.
            order: for `UserOrder.LAST_SEEN`, what happened in the last minutes may not count yet.
        """
        found, total = await self._vectors.list_users(
            project, offset=offset, limit=limit, metadata=metadata, part=part, order=order
        )
        details = await self._details(found)
        if order is UserOrder.LAST_SEEN:
            details = sorted(details, key=lambda one: -one.last_active_at)
        return UserPage(details, total)

    async def counts(self, project: Project, users: Sequence[UserDetails]) -> Mapping[Owner, UserCounts]:
        """How many processed sessions and memories some users of a project have."""
        owners = [one.user.owner for one in users]
        sessions, memories = await asyncio.gather(
            *(self._vectors.count_of_users(project, owners, kind) for kind in (Kind.SESSION, Kind.MEMORY))
        )
        return {owner: UserCounts(sessions.get(owner, 0), memories.get(owner, 0)) for owner in owners}

    async def create(
        self,
        project: Project,
        name: str,
        *,
        metadata: Mapping[str, JsonValue],
        merge_conflict_enabled: bool | None = None,
        key: str | None = None,
        at: int | None = None,
    ) -> UserDetails:
        """Make a user.

        Args:
            at: since when there is this user, milliseconds since the epoch; None for now.
            key: a request that bears the same one within a day gets the user that the first has made.

        Raises:
            UserExists: the name is a user's.
        """
        try:
            user = await self._directory.create(
                project, name, metadata=metadata, merge_conflict_enabled=merge_conflict_enabled, key=key, at=at
            )
        except UserExists:
            repeated = key is not None and await self._state.has_made_user(Owner(project.id, name), key)
            owner = await self._directory.find(project, name) if repeated else None
            if owner is None:
                raise
            return await self.get(owner)
        return UserDetails(user, user.created_at)

    async def update(
        self,
        owner: Owner,
        *,
        name: str | None = None,
        metadata: Mapping[str, JsonValue] | None = None,
        merge_conflict_enabled: bool | None = None,
    ) -> UserDetails:
        """Change what is given of a user, all at once; None leaves it.

        Raises:
            UserNotFound: it was forgotten.
            UserExists: the name is another user's.
        """
        await self._directory.change(owner, name=name, metadata=metadata, merge_conflict_enabled=merge_conflict_enabled)
        return await self.get(owner)

    async def forget(self, owner: Owner) -> Forgotten:
        """Delete a user and all that there is of it; see `Forgetting.forget_user`."""
        return await self._forgetting.forget_user(owner)

    async def _details(self, found: Sequence[ListedUser]) -> Sequence[UserDetails]:
        active = await self._state.last_active([one.user.owner for one in found])
        return [
            UserDetails(one.user, max(one.user.created_at, one.seen_at, at or 0))
            for one, at in zip(found, active, strict=True)
        ]
