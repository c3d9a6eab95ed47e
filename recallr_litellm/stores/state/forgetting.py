"""The queue of users and sessions that are to be forgotten, and what Redis holds of them."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass
from typing import Any, NamedTuple

from redis.asyncio import RedisCluster

from recallr_litellm.core.owner import Owner
from recallr_litellm.stores.state import codec, keys
from recallr_litellm.stores.state.connection import Link
from recallr_litellm.stores.state.contents import MARKER_SECONDS
from recallr_litellm.stores.state.known_users import GONE_SECONDS
from recallr_litellm.stores.state.leased_queue import Lease, LeasedQueue, milliseconds
from recallr_litellm.stores.state.lua import ForgettingScripts

_PAGE = 1000
"""Keys, or members, that are looked at in one call."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ForgettingJob(Lease):
    """A user, or a session, that is to be forgotten, leased to whoever holds this."""

    owner: Owner
    session_id: str
    """Empty for all of the user."""
    name_keys: tuple[str, ...]
    """`Owner.name_key` of the names under which something of the user may be queued."""


class InMotion(NamedTuple):
    """How much Redis held."""

    sessions: int
    messages: int


class ForgettingQueue(LeasedQueue):
    """Whoever begins to forget a user leases the job and works on it; if that worker dies, another one finishes it."""

    queue = keys.FORGETTING_QUEUE

    def __init__(self, link: Link, *, timeout_seconds: float) -> None:
        super().__init__(link, timeout_seconds=timeout_seconds)
        self._forgetting_scripts = ForgettingScripts.of(link.client)

    async def begin(
        self,
        owner: Owner,
        session_id: str = "",
        *,
        name_keys: Collection[str] = (),
        lease_seconds: float,
        unused_since: int | None = None,
        now_ms: int | None = None,
    ) -> tuple[ForgettingJob, InMotion] | None:
        """From now on nothing is written for the user, or the session, and the session is gone from Redis.

        Args:
            session_id: empty for all of the user.
            unused_since: does nothing to a session that was used later, milliseconds since the epoch.

        Returns:
            The job, and what Redis held of the session; None where the session was used later.
        """
        bucket, token = keys.bucket_of(owner), uuid.uuid4().hex
        member = keys.member(owner, session_id)
        there, messages = await self._run(
            self._forgetting_scripts.forget,
            [
                keys.gone(owner, session_id),
                self.queue.due(bucket),
                self.queue.states(bucket) + member,
                keys.user(owner),
                keys.open_sessions(owner),
                keys.current(owner),
                keys.due(bucket),
                keys.failed(bucket),
            ],
            now_ms,
            keys.prefix(bucket),
            owner.key,
            session_id,
            codec.dump_owner(owner),
            " ".join(name_keys),
            token,
            milliseconds(lease_seconds),
            # Of sessions there may be many, and an exchange of one is not held for long.
            MARKER_SECONDS if session_id else GONE_SECONDS,
            unused_since,
        )
        if there < 0:
            return None
        lease = Lease(member=member, bucket=bucket, token=token, attempts=1)
        return _job(lease, owner, " ".join(name_keys)), InMotion(there, messages)

    async def claim(self, limit: int, *, lease_seconds: float, now_ms: int | None = None) -> list[ForgettingJob]:
        """Lease up to `limit` jobs that nobody works on, or that are to be looked after once more."""
        leased = await self._lease_due(limit, ["owner", "names"], lease_seconds=lease_seconds, now_ms=now_ms)
        return [
            _job(lease, codec.load_owner(owner, lease.member), names or "")
            for lease, [owner, names] in leased
            if owner is not None  # the script claims only what has one
        ]

    async def finish(
        self, job: ForgettingJob, *, settled_seconds: float, found: bool, now_ms: int | None = None
    ) -> bool:
        """Remove the job, if it was begun `settled_seconds` ago; else it is due again when that has passed.

        Args:
            found: there was still something to delete, so that time begins now.
        """
        arguments = (job.member, job.token, milliseconds(settled_seconds), int(found))
        return bool(await self._run(self._forgetting_scripts.forgotten, self._names(job), now_ms, *arguments))

    async def delete_all_of(self, owner: Owner) -> InMotion:
        """Delete every key of a forgotten user, in whatever bucket. Returns what its sessions held."""
        sessions = messages = 0
        async for page in self._pages(f"{{recallr:*}}:*{owner.key}*"):
            names = [name for name in page if _goes(name, owner)]
            sessions += sum(":session:" in name for name in names)
            async with self._reaching(), self._client.pipeline(transaction=False) as pipeline:
                for name in names:
                    if ":messages:" in name:
                        pipeline.hlen(name)
                messages += sum(await pipeline.execute())
            async with self._reaching(), self._client.pipeline(transaction=False) as pipeline:
                for name in names:
                    pipeline.execute_command("UNLINK", name)  # `unlink` of a cluster cannot be in a pipeline
                await pipeline.execute()
        queues = (keys.SESSION_QUEUE, keys.LEARNING_QUEUE)
        for name in [name(keys.bucket_of(owner)) for queue in queues for name in (queue.due, queue.failed)]:
            after = 0
            while True:
                async with self._reaching():
                    after, members = await self._client.zscan(name, after, match=f"{owner.key}*", count=_PAGE)
                    if members:
                        await self._client.zrem(name, *(member for member, _ in members))
                if not after:
                    break
        return InMotion(sessions, messages)

    async def _pages(self, pattern: str) -> AsyncIterator[list[str]]:
        """Names of keys, page by page, of all servers of a cluster."""
        client: Any = self._client
        servers: list[dict[str, Any]] = [{}]
        if isinstance(client, RedisCluster):
            async with self._reaching():
                await client.initialize()
            servers = [{"target_nodes": server} for server in client.get_primaries()]
        for server in servers:
            after: Any = 0
            while True:
                async with self._reaching():
                    after, names = await client.scan(after, match=pattern, count=_PAGE, **server)
                if isinstance(after, dict):  # a cluster client says it for each server
                    [after] = after.values()
                if names:
                    yield names
                if not after:
                    break


def _goes(name: str, owner: Owner) -> bool:
    """Whether a key is to be deleted with its owner: the id has to stand between colons, not in another one's."""
    _, _, path = name.partition("}:")
    kind, *parts = path.split(":")
    return kind not in keys.KEPT_FROM_FORGETTING and owner.key in parts


def _job(lease: Lease, owner: Owner, name_keys: str) -> ForgettingJob:
    return ForgettingJob(
        member=lease.member,
        bucket=lease.bucket,
        token=lease.token,
        attempts=lease.attempts,
        owner=owner,
        session_id=keys.session_id_of(lease.member),
        name_keys=tuple(name_keys.split()),
    )
