"""The queue of users of whom something is to be learned: their processed sessions, in the order of time, one at a time.

A user is a member, leased as a whole, so that two workers never learn of one user at once.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

from recallr_litellm.core.owner import Owner
from recallr_litellm.stores.state import codec, keys
from recallr_litellm.stores.state.connection import Link
from recallr_litellm.stores.state.leased_queue import Lease, LeasedQueue
from recallr_litellm.stores.state.lua import LearningScripts


@dataclass(frozen=True, slots=True, kw_only=True)
class LearningClaim(Lease):
    """A user of whom something is to be learned, leased to whoever holds this."""

    owner: Owner


class Waiting(NamedTuple):
    """A session that is to be learned."""

    session_id: str
    added: str
    """How often it was put there: what is put there again while it is learned is learned once more."""


class LearningStatus(NamedTuple):
    """What waits of a user."""

    queued: int
    """Sessions."""
    reason: str
    """Why they were put off, or set aside; "" while somebody learns of the user, or where they were not."""
    set_aside: bool


class SetAside(NamedTuple):
    """A user of whom nothing is learned any more: it failed too often."""

    owner: Owner
    sessions: int
    """That wait to be learned."""
    reason: str
    """Of the last failure."""


class LearningQueue(LeasedQueue):
    """What a worker does with users of whom something is to be learned."""

    queue = keys.LEARNING_QUEUE

    def __init__(self, link: Link, *, timeout_seconds: float) -> None:
        super().__init__(link, timeout_seconds=timeout_seconds)
        self._learning_scripts = LearningScripts.of(link.client)

    async def add(self, owner: Owner, session_id: str, at: int) -> None:
        """Have a processed session learned. One that waits already is not put there twice, and one
        that is forgotten not at all.

        Args:
            at: when it was last used, milliseconds since the epoch: earlier ones are learned first.
        """
        bucket = keys.bucket_of(owner)
        names = [
            keys.to_learn(owner),
            keys.learning_states(bucket) + owner.key,
            keys.learning(bucket, "due"),
            keys.learning(bucket, "failed"),
            keys.gone(owner),
            keys.gone(owner, session_id),
        ]
        arguments = (owner.key, codec.dump_owner(owner), session_id, at)
        await self._run(self._learning_scripts.learning_add, names, None, *arguments)

    async def claim(self, limit: int, *, lease_seconds: float, now_ms: int | None = None) -> list[LearningClaim]:
        """Lease up to `limit` users who are due, whoever has waited longest first."""
        leased = await self._lease_due(limit, ["owner"], lease_seconds=lease_seconds, now_ms=now_ms)
        return [
            LearningClaim(**asdict(lease), owner=codec.load_owner(owner, lease.member))
            for lease, [owner] in leased
            if owner is not None  # the script claims only what has one
        ]

    async def next_session(self, claim: LearningClaim) -> Waiting | None:
        """The user's earliest session that is to be learned."""
        async with self._reaching():
            found: list[Any] = await self._client.zrange(keys.to_learn(claim.owner), 0, 0)
            if not found:
                return None
            added: Any = await self._client.hget(self._names(claim)[0], f"added {found[0]}")
        return Waiting(found[0], added or "")

    async def done(self, claim: LearningClaim, waiting: Waiting | None) -> bool:
        """Take a session out of the queue, unless it was put there again since. True if the user has more and is still
        leased to the caller."""
        names = [keys.to_learn(claim.owner), *self._names(claim)]
        arguments = (claim.member, claim.token, *(waiting or ("", "")))
        return bool(await self._run(self._learning_scripts.learning_done, names, None, *arguments) == 1)

    async def status(self, owner: Owner) -> LearningStatus:
        """What waits of a user."""
        bucket = keys.bucket_of(owner)
        async with self._reaching(), self._client.pipeline(transaction=False) as pipeline:
            pipeline.zcard(keys.to_learn(owner))
            pipeline.hmget(keys.learning_states(bucket) + owner.key, ["lease", "reason"])
            pipeline.zscore(keys.learning(bucket, "failed"), owner.key)
            queued, (lease, reason), failed = await pipeline.execute()
        return LearningStatus(int(queued), "" if lease is not None else (reason or ""), failed is not None)

    async def retry(self, owner: Owner) -> int:
        """Try a user again that was set aside. Returns 1; 0 for one that is not."""
        return await self.requeue([(keys.bucket_of(owner), owner.key)])

    async def set_aside(self) -> list[SetAside]:
        """Every user that was set aside, with all that is to be learned of it."""
        found = await self._set_aside()
        async with self._reaching(), self._client.pipeline(transaction=False) as pipeline:
            for owner, *_ in found:
                pipeline.zcard(keys.to_learn(owner))
            sessions = await pipeline.execute() if found else []
        return [SetAside(owner, int(n), reason) for (owner, _, reason), n in zip(found, sessions, strict=True)]
