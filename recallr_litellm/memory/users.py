"""Who a name is: users are found, made, renamed and changed here, over both stores."""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping
from typing import Final

from cachetools import LRUCache, TTLCache
from pydantic import JsonValue

from recallr_litellm.core.owner import Owner, Project
from recallr_litellm.core.records import FormerName, User
from recallr_litellm.errors import UserExists, UserForgotten, UserNotFound
from recallr_litellm.stores.state import StateStore, keys
from recallr_litellm.stores.vectors import VectorStore

_MOST_KNOWN: Final = 20_000
"""Users whose id is not that of their name and is known in this process."""
_CONFIRMED_SECONDS: Final = 60
"""How long Redis is not asked again whether a user is known."""
_SEEN_SECONDS: Final = 300
"""How long it is not noted again that a user was heard of."""

_TELL_HOW = (
    "This user does not exist in this project. Send X-Recallr-Allow-New-User-Creation: true to create it with its "
    "first request."
)


class UserDirectory:
    """Names and the ids behind them.

    Most users have the id of their name (`Owner.key`), so that a request needs no look at the directory: the script
    that resolves its session says whether that is so (`StateStore.resolve`). A user whose name was borne by somebody
    else before has a random id. No id is given again as long as anything of its user might come back.
    """

    def __init__(self, state: StateStore, vectors: VectorStore) -> None:
        self._state = state
        self._vectors = vectors
        self._known: LRUCache[str, Owner] = LRUCache(_MOST_KNOWN)
        """`Owner.name_key` → whose name it is. May be wrong, which `StateStore.resolve` notices."""
        self._confirmed: TTLCache[str, Owner] = TTLCache(_MOST_KNOWN, _CONFIRMED_SECONDS)
        """The same of those whose requests were let in of late."""
        self._seen: TTLCache[str, bool] = TTLCache(_MOST_KNOWN, _SEEN_SECONDS)
        """`Owner.key` of those of whom it was noted of late."""
        self._to_note: dict[Owner, int] = {}

    def probable(self, name: Owner) -> Owner:
        """Whose name it is, as far as this process knows; to be used only where being wrong is noticed."""
        return self._known.get(name.name_key, Owner(name.project, name.user))

    def confirm(self, owner: Owner) -> None:
        """Note that a user exists and has this name, as the store has just said."""
        self._confirmed[owner.name_key] = owner

    def heard_of(self, owner: Owner) -> None:
        """Remember that a user is there now, for `note_seen`."""
        if owner.key not in self._seen:
            self._seen[owner.key] = True
            self._to_note[owner] = _now()

    async def note_seen(self) -> None:
        """Note with users when they were heard of, so that they can be listed by it. What is not noted in an outage is
        noted when their sessions are processed.

        Raises:
            VectorsUnavailable: Qdrant does not answer.
        """
        to_note, self._to_note = self._to_note, {}
        for owner, at in to_note.items():
            await self._vectors.note_seen(owner, at)

    async def is_known(self, owner: Owner) -> bool:
        """Whether this is a user of this name, as far as can be told without Qdrant. One that was renamed or forgotten
        less than a minute ago may still be known.

        Raises:
            Unavailable: Redis does not answer.
        """
        return self._confirmed.get(owner.name_key) == owner or await self._state.has_name(owner)

    async def find(self, project: Project, name: str) -> Owner | None:
        """Whose name it is now. None where it is nobody's."""
        probable = self.probable(Owner(project.id, name))
        if await self._state.is_known(probable):
            return probable
        user = await self._vectors.find_user(project, name)
        if user is None or not await self._state.remember_user(user.owner, renamings=len(user.former_names)):
            return None  # or it is being forgotten
        return user.owner

    async def admit(self, name: Owner, *, at: int, create: bool) -> Owner:
        """The user of a request whom Redis does not know.

        Args:
            at: when the request came, milliseconds since the epoch.
            create: a user who does not exist may be created.

        Raises:
            UserNotFound: there is no such user.
            UserForgotten: the name was that of a user who was forgotten after the request came.
        """
        self._known.pop(name.name_key, None)
        await self.require_not_forgotten(name, at)
        for _ in range(3):
            user = await self._vectors.find_user(Project(name.project), name.user)
            if user is None:
                if not create:
                    raise UserNotFound(_TELL_HOW, param="X-Recallr-User-Id")
                user, _ = await self._make(name, at=at, metadata={})
            owner = user.owner
            if await self._state.remember_user(owner, renamings=len(user.former_names)):
                if owner.key != owner.name_key:
                    self._known[owner.name_key] = owner
                return owner
            await self._vectors.delete_user(owner)  # it is being forgotten
        raise UserNotFound(_TELL_HOW, param="X-Recallr-User-Id")

    async def require_not_forgotten(self, name: Owner, at: int) -> None:
        """Return if what came at this time with this name may be kept.

        Raises:
            UserForgotten: it may not.
        """
        if at <= await self._state.forgotten_at(name):
            raise UserForgotten("This user was forgotten after the request came", param="X-Recallr-User-Id")

    async def create(
        self,
        project: Project,
        name: str,
        *,
        metadata: Mapping[str, JsonValue],
        merge_conflict_enabled: bool | None = None,
        key: str | None = None,
        at: int | None = None,
    ) -> User:
        """Make a user.

        Args:
            key: of the request that makes it; see `StateStore.has_made_user`.
            at: milliseconds since the epoch; None for now.

        Raises:
            UserExists: the name is a user's.
        """
        owner = Owner(project.id, name)
        created_at = _now() if at is None else at
        user, made = await self._make(
            owner, at=created_at, metadata=metadata, merge_conflict_enabled=merge_conflict_enabled, key=key
        )
        if not made:
            raise UserExists(f"User {name} already exists")
        await self._state.remember_user(user.owner)
        return user

    async def change(
        self,
        owner: Owner,
        *,
        name: str | None = None,
        metadata: Mapping[str, JsonValue] | None = None,
        merge_conflict_enabled: bool | None = None,
    ) -> User:
        """Change what is given of a user; all of it in one write.

        Raises:
            UserNotFound: it was forgotten.
            UserExists: the name is another user's.
        """
        renamed = Owner(owner.project, name or owner.user, owner.key)
        async with self._state.changing(keys.name_lock(renamed), keys.user_lock(owner)):
            user = await self._vectors.get_user(owner)
            if user is None:
                raise UserNotFound(f"User {owner.user} not found")
            changes: dict[str, object] = {"id": owner.key}
            if metadata is not None:
                changes["metadata"] = dict(metadata)
            if merge_conflict_enabled is not None:
                changes["merge_conflict_enabled"] = merge_conflict_enabled
            if name is not None and name != user.user:
                if await self._vectors.find_user(Project(owner.project), name) is not None:
                    raise UserExists(f"User {name} already exists")
                former = FormerName(user.user, _now())
                changes |= {"user": name, "former_names": (*user.former_names, former)}
            changed = user.model_copy(update=changes)
            await self._vectors.put_user(owner, changed)
            if not await self._state.remember_user(changed.owner, renamings=len(changed.former_names)):
                await self._vectors.delete_user(owner)  # forgotten meanwhile
                raise UserNotFound(f"User {owner.user} not found")
        return changed

    async def _make(
        self,
        name: Owner,
        *,
        at: int,
        metadata: Mapping[str, JsonValue],
        merge_conflict_enabled: bool | None = None,
        key: str | None = None,
    ) -> tuple[User, bool]:
        """The user of this name, and whether it was made now."""
        async with self._state.changing(keys.name_lock(name)):
            user = await self._vectors.find_user(Project(name.project), name.user)
            if user is not None:
                return user, False
            first = Owner(name.project, name.user)
            used = await self._state.is_gone(first) or await self._vectors.get_user(first) is not None
            user = User(
                project=name.project,
                user=name.user,
                id=secrets.token_hex(16) if used else "",
                created_at=at,
                metadata=dict(metadata),
                merge_conflict_enabled=merge_conflict_enabled,
            )
            if key is not None:  # before the user is there, and nobody else is within: who finds it finds this too
                await self._state.note_making_user(name, key)
            await self._vectors.put_user(user.owner, user)
            return user, True


def _now() -> int:
    return time.time_ns() // 1_000_000
