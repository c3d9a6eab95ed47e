"""Part of the state store: users that requests come from, and marks of those who are forgotten."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any, Final

from redis.asyncio.lock import Lock
from redis.exceptions import LockError

from recallr_litellm.core.owner import Owner
from recallr_litellm.errors import StateUnavailable
from recallr_litellm.stores.state import keys
from recallr_litellm.stores.state.calls import RedisCaller
from recallr_litellm.stores.state.contents import MARKER_SECONDS

GONE_SECONDS: Final = 30 * MARKER_SECONDS
"""How long nothing of a forgotten user is taken in that somebody still has: an exchange that a worker holds because it
cannot reach Redis, a job that is at work."""

_LOCK_SECONDS = 10.0
_MEMORIES_LOCK_SECONDS = 10.0
_LOCK_LOOK_SECONDS = 0.02


class KnownUsers(RedisCaller):
    """The record of users is Qdrant's; this saves requests the look at it."""

    async def remember_user(self, owner: Owner, *, renamings: int = 0) -> bool:
        """Note that the user exists and has this name. False for one that is forgotten.

        Args:
            renamings: how often the user was given another name: of two notes, that of the later name stays.
        """
        names = [keys.user(owner), keys.gone(owner)]
        return bool(await self._run(self._scripts.remember, names, owner.name_key, renamings, MARKER_SECONDS))

    async def is_known(self, owner: Owner) -> bool:
        """Whether Redis knows that the user exists and has this name."""
        async with self._reaching():
            named: Any = await self._client.get(keys.user(owner))
        return named is not None and str(named).partition(" ")[0] == owner.name_key

    async def note_making_user(self, name: Owner, key: str) -> None:
        """Note for a day that a request with this key makes the user of this name."""
        async with self._reaching():
            await self._client.set(_request(name, key), 1, ex=MARKER_SECONDS)

    async def has_made_user(self, name: Owner, key: str) -> bool:
        """Whether a request with this key has made the user of this name today."""
        async with self._reaching():
            return bool(await self._client.exists(_request(name, key)))

    async def has_name(self, owner: Owner) -> bool:
        """Whether it was noted that the user exists and has this name."""
        async with self._reaching():
            noted: Any = await self._client.get(keys.user(owner))
        name = owner.key if noted == "1" else (noted or "").partition(" ")[0]  # 1: of an earlier version
        return bool(name == owner.name_key)

    async def is_gone(self, owner: Owner, session_id: str | None = None) -> bool:
        """Whether the user, or this session of it, was forgotten lately: what is written for it must be deleted."""
        names = [keys.gone(owner), *([keys.gone(owner, session_id)] if session_id else ())]
        async with self._reaching():
            return bool(await self._client.exists(*names))

    async def last_active(self, owners: Sequence[Owner]) -> list[int | None]:
        """When a session of each user was last used that is not yet processed and holds messages, ms."""
        if not owners:
            return []
        async with self._reaching(), self._client.pipeline(transaction=False) as pipeline:
            for owner in owners:
                pipeline.zrange(keys.open_sessions(owner), 0, 0, desc=True, withscores=True)
            found: list[Any] = await pipeline.execute()
        return [int(last[0][1]) if last else None for last in found]

    async def take_turn(self, work: str, seconds: int) -> bool:
        """Whether this caller, of all, is to do some work that is done once in so many seconds."""
        async with self._reaching():
            return bool(await self._client.set(keys.turn(work), 1, nx=True, ex=seconds))

    async def may_keep(self, owner: Owner, at: int) -> bool:
        """Whether what was received at this time, milliseconds since the epoch, may be kept for this user."""
        if owner.key != owner.name_key and await self.is_gone(owner):
            return False
        return at > await self.forgotten_at(owner)

    async def forgotten_at(self, owner: Owner) -> int:
        """Until when the name of this owner was that of a user who was forgotten lately, milliseconds since the epoch.
        What was received with that name until then is nobody's. 0 where nobody was forgotten."""
        async with self._reaching():
            return int(await self._client.get(keys.forgotten(owner)) or 0)

    async def forget_name(self, owner: Owner, until: int) -> None:
        """Note until when a user had this name who is going to be forgotten."""
        async with self._reaching():
            await self._client.set(keys.forgotten(owner), until, ex=GONE_SECONDS)

    @asynccontextmanager
    async def changing(self, *names: str) -> AsyncIterator[None]:
        """While nobody else is within the same: `keys.user_lock` or `keys.name_lock`, always in the same order.

        Raises:
            StateUnavailable: somebody else is, for too long.
        """
        async with AsyncExitStack() as held:
            for name in names:
                await held.enter_async_context(self._locked(name, _LOCK_SECONDS, wait_seconds=self._timeout / 2))
            yield

    @asynccontextmanager
    async def changing_memories(self, owner: Owner) -> AsyncIterator[None]:
        """While nobody else changes memories of this owner: what was read within is still so when it is written.

        For reads and writes of the stores only: calls of models take longer than the lock lasts.

        Raises:
            StateUnavailable: somebody else does, for too long.
        """
        wait_seconds = _MEMORIES_LOCK_SECONDS + 5  # longer than the lock of a worker that was killed
        async with self._locked(keys.memories_lock(owner), _MEMORIES_LOCK_SECONDS, wait_seconds=wait_seconds):
            yield

    @asynccontextmanager
    async def _locked(self, name: str, seconds: float, *, wait_seconds: float) -> AsyncIterator[None]:
        lock = Lock(self._client, name, timeout=seconds)
        until = asyncio.get_running_loop().time() + wait_seconds
        while True:
            async with self._reaching():
                if await lock.acquire(blocking=False):
                    break
            if asyncio.get_running_loop().time() > until:
                raise StateUnavailable("Another request is changing the same user")
            await asyncio.sleep(_LOCK_LOOK_SECONDS)
        try:
            async with asyncio.timeout(0.8 * seconds):  # nothing is written once somebody else may have the lock
                yield
        except TimeoutError as error:
            raise StateUnavailable("Changing a user has taken too long") from error
        finally:
            await self._release(lock)

    async def _release(self, lock: Lock) -> None:
        with suppress(LockError):  # it took too long, and somebody else has it
            async with self._reaching():
                await lock.release()


def _request(name: Owner, key: str) -> str:
    digest = hashlib.sha256(key.encode(errors="surrogatepass")).hexdigest()[:32]
    return keys.exchange(name, digest)
