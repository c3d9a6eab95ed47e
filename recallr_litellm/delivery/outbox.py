"""What waits to be sent to an endpoint, in Redis.

Each session has a stream of payloads of its own, and is a member of a `LeasedQueue`: due when its first payload may be
sent. The worker that has leased it sends its payloads one after another. Keys: `stores/state/keys.py`.
"""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Iterable
from contextlib import suppress
from dataclasses import asdict, replace
from typing import Any, Final, Literal

from redis.asyncio import RedisCluster

from recallr_litellm.core.owner import Owner
from recallr_litellm.delivery.records import Added, DeadLetter, Delivery, Limits, OutboxStatus
from recallr_litellm.errors import CallRefused, Unavailable
from recallr_litellm.stores.state import keys
from recallr_litellm.stores.state.connection import Link, connect
from recallr_litellm.stores.state.leased_queue import LeasedQueue, milliseconds
from recallr_litellm.stores.state.lua import OutboxScripts

MARKER_SECONDS: Final = 3600
"""How long a message id is remembered, so that adding it again, after an answer of Redis was lost, adds nothing."""
MEMORY_SHARE: Final = 8
"""Queued payloads take at most an eighth of the `maxmemory` of Redis, and dead letters too: sessions need the rest."""
_MEMORY_SECONDS: Final = 60.0
"""How often Redis is asked for its `maxmemory`."""
_NO_ENTRY: Final = "0-0"
"""No payload has this id."""
_AT_A_TIME: Final = 50
"""Dead letters that one script or answer handles."""
_COUNTED_AT_ONCE: Final = 200
"""Dead letters that one script counts."""


class Outbox(LeasedQueue):
    """The queue of payloads. Every change is one atomic script; all raise `StateUnavailable` when Redis does not do it.

        outbox = Outbox.open("redis://localhost:6379/0", RECONIFY, limits, timeout_seconds=1.0)
        await outbox.add(owner, session_id, message_id, b'{"reconify": …}')
        for delivery in await outbox.claim(4, lease_seconds=30):
            ...
            following = await outbox.delivered(delivery, lease_seconds=30)

    Args:
        names: its keys.
        limits: how much there is room for.
        timeout_seconds: bounds each round trip.
    """

    def __init__(self, link: Link, names: keys.OutboxKeys, limits: Limits, *, timeout_seconds: float) -> None:
        super().__init__(link, timeout_seconds=timeout_seconds)
        self.queue = names.queue
        self._keys = names
        self._outbox_scripts = OutboxScripts.of(link.client)
        self._most = limits.max_queued // keys.BUCKETS
        self._allowed_bytes = limits.max_queued_mb * 1024 * 1024
        self._most_bytes = self._allowed_bytes // keys.BUCKETS
        self._ask_at = 0.0
        """When to ask for `maxmemory` again, by the monotonic clock."""
        self._touched: set[int] = set()
        """Buckets in which this object has added something, let it go, or left it over in a claim."""

    @classmethod
    def open(cls, url: str, names: keys.OutboxKeys, limits: Limits, *, timeout_seconds: float) -> Outbox:
        """The outbox in this Redis (forms of URLs: `RedisUrl.parse`). Connects when first used.

        Raises:
            ConfigurationError: the URL cannot be understood.
        """
        return cls(connect(url, timeout_seconds=timeout_seconds), names, limits, timeout_seconds=timeout_seconds)

    async def add(self, owner: Owner | None, session: str, message_id: str, payload: bytes) -> Added:
        """Put a payload at the end of its session's queue. Once it is there, it stays until it was sent.

        Args:
            owner: whose it is; None for a request without a user.
            session: payloads of one session are sent in the order in which they are added; of an empty one, each is a
                session of its own.
            message_id: unique to the interaction.
            payload: JSON, without keys.
        """
        member = keys.outbox_member(owner, session or message_id)
        bucket = keys.outbox_bucket(member)
        names = [
            self._keys.queues(bucket) + member,
            self._keys.states(bucket) + member,
            *(self._keys.of(bucket, name) for name in ("due", "totals")),
            self._keys.added(member, message_id),
        ]
        project = owner.project if owner else None
        arguments = (member, message_id, payload, self._most, await self.room(), MARKER_SECONDS, project)
        added = Added(await self._run(self._outbox_scripts.outbox_add, names, None, *arguments))
        if added is Added.ADDED:
            self._touched.add(bucket)
        return added

    async def claim(
        self, limit: int, *, lease_seconds: float, everywhere: bool = True, now_ms: int | None = None
    ) -> list[Delivery]:
        """Lease up to `limit` sessions whose first payload may be sent, beginning with the bucket that waits longest.
        Of concurrent claims each gets other sessions.

        Args:
            everywhere: False: only where this object has added something, let it go, or left it over in a claim.
        """
        buckets = range(keys.BUCKETS) if everywhere else sorted(self._touched)
        if not buckets:
            return []
        self._touched.difference_update(buckets)
        leased = await self._lease_due(limit, ["bytes"], lease_seconds=lease_seconds, buckets=buckets, now_ms=now_ms)
        if len(leased) == limit:
            self._touched.update(buckets)
        async with self._reaching(), self._client.pipeline(transaction=False) as pipeline:
            for lease, _ in leased:
                pipeline.xrange(self._keys.queues(lease.bucket) + lease.member, count=1)
            heads: list[Any] = await pipeline.execute() if leased else []
        deliveries = []
        for (lease, _), head in zip(leased, heads, strict=True):
            for entry, fields in head:
                deliveries.append(
                    Delivery(**asdict(lease), entry=entry, message_id=fields["message"], payload=fields["payload"])
                )
            if not head:  # purged meanwhile, or deleted by hand: nothing is left to lease
                nothing = Delivery(**asdict(lease), entry=_NO_ENTRY, message_id="", payload="")
                await self._settle(nothing, "delivered", None, "", "")
        return deliveries

    async def delivered(self, delivery: Delivery, *, lease_seconds: float | None) -> Delivery | None:
        """The payload was accepted: take it out, and go on with the session's next.

        Args:
            lease_seconds: how long to lease the session for the next payload; None lets it go to the end of those due.

        Returns:
            The next payload; None if there is none, or the session is no longer leased.
        """
        return await self._settle(delivery, "delivered", lease_seconds, "", "")

    async def bury(
        self, delivery: Delivery, *, status: int | None, reason: str, lease_seconds: float | None
    ) -> Delivery | None:
        """The payload will not be accepted: put it with the dead letters, and go on as after `delivered`."""
        return await self._settle(delivery, "dead", lease_seconds, "" if status is None else str(status), reason)

    async def dead(self) -> AsyncIterator[DeadLetter]:
        """Every dead letter; of one bucket the oldest first."""
        for bucket in range(keys.BUCKETS):
            after = "-"
            while True:
                names = [self._keys.of(bucket, "dead")]
                rows: list[list[str]] = await self._run(self._outbox_scripts.outbox_dead, names, after, _AT_A_TIME)
                for entry, message, member, status, reason, project in rows:
                    session = member.partition(":")[2]
                    yield DeadLetter(session, message, status, reason, _time(entry), project, bucket, entry)
                if not rows:
                    break
                after = f"({rows[-1][0]}"

    async def dead_by_project(self) -> dict[str, int]:
        """How many dead letters each project has; without those of requests without a user."""
        counts: Counter[str] = Counter()
        for bucket in range(keys.BUCKETS):
            after = "-"
            while after:
                names = [self._keys.of(bucket, "dead")]
                last, *row = await self._run(self._outbox_scripts.outbox_projects, names, after, _COUNTED_AT_ONCE)
                counts.update(dict(zip(row[::2], row[1::2], strict=True)))
                after = f"({last}" if last else ""
        del counts[""]
        return dict(counts)

    async def requeue_dead(self, letters: Iterable[DeadLetter] | None = None) -> int:
        """Put these dead letters, or all there are, at the end of their sessions' queues, room or not. Returns how many
        there were."""
        requeued = 0
        async for bucket, entries in self._batches(letters):
            names = [self._keys.of(bucket, name) for name in ("dead", "due", "totals")]
            queues, states = self._keys.queues(bucket), self._keys.states(bucket)
            requeued += await self._run(self._outbox_scripts.outbox_requeue, names, None, queues, states, *entries)
        return requeued

    async def drop_dead(self, letters: Iterable[DeadLetter] | None = None) -> int:
        """Delete these dead letters, or all there are. Returns how many there were."""
        dropped = 0
        async for bucket, entries in self._batches(letters):
            names = [self._keys.of(bucket, name) for name in ("dead", "totals")]
            dropped += await self._run(self._outbox_scripts.outbox_drop, names, *entries)
        return dropped

    async def _batches(self, letters: Iterable[DeadLetter] | None) -> AsyncIterator[tuple[int, list[str]]]:
        """Bucket and entries of these dead letters, or of all, as many as one script handles."""
        of_bucket: defaultdict[int, list[str]] = defaultdict(list)
        # First all are read: those that die again meanwhile are left.
        for letter in [letter async for letter in self.dead()] if letters is None else letters:
            of_bucket[letter.bucket].append(letter.entry)
        for bucket, entries in of_bucket.items():
            for start in range(0, len(entries), _AT_A_TIME):
                yield bucket, entries[start : start + _AT_A_TIME]

    async def purge(self, owner: Owner, session: str = "") -> int:
        """Delete all of an owner's payloads, or those of a session, queued and dead. Returns how many. One that is just
        being sent arrives."""
        return sum(
            [
                await self._run(
                    self._outbox_scripts.outbox_purge,
                    [self._keys.of(bucket, name) for name in ("due", "failed", "totals", "dead")],
                    keys.outbox_member(owner, session),
                    self._keys.queues(bucket),
                    self._keys.states(bucket),
                    int(not session),
                )
                for bucket in range(keys.BUCKETS)
            ]
        )

    async def status(self) -> OutboxStatus:
        """What there is and what became of the rest, of all workers together."""
        counted = ("queued", "bytes", "added", "delivered", "dropped")
        async with self._reaching(), self._client.pipeline(transaction=False) as pipeline:
            for bucket in range(keys.BUCKETS):
                pipeline.hmget(self._keys.of(bucket, "totals"), counted)
                pipeline.xlen(self._keys.of(bucket, "dead"))
            replies: list[Any] = await pipeline.execute()
        totals = [sum(int(value or 0) for value in column) for column in zip(*replies[::2], strict=True)]
        return OutboxStatus(**dict(zip(counted, totals, strict=True)), dead=sum(replies[1::2]))

    async def oldest_ms(self) -> int:
        """Age of the payload that waits longest; -1 where none does. Looks at each session: not for every second."""
        ages = [
            int(await self._run(self._outbox_scripts.outbox_oldest, [self._keys.of(bucket, "due")], queues))
            for bucket, queues in enumerate(map(self._keys.queues, range(keys.BUCKETS)))
        ]
        return max(ages)

    async def room(self) -> int:
        """Bytes that the payloads of one bucket may take, and its dead letters."""
        now = time.monotonic()
        if now >= self._ask_at:
            self._ask_at = now + _MEMORY_SECONDS
            with suppress(CallRefused, Unavailable):  # a managed Redis may refuse INFO: then the settings alone hold
                # Of the smallest server of a cluster: it may have all the buckets.
                shares = [most // MEMORY_SHARE for most in await self._max_memory() if most]
                self._most_bytes = min([self._allowed_bytes, *shares]) // keys.BUCKETS
        return self._most_bytes

    async def _max_memory(self) -> list[int]:
        """`maxmemory` of each server, bytes; 0 where it has none."""
        client: Any = self._client
        async with self._reaching():
            if isinstance(client, RedisCluster):
                servers = [*(await client.info("memory", target_nodes=RedisCluster.PRIMARIES)).values()]
            else:
                servers = [await client.info("memory")]
        return [int(server.get("maxmemory", 0)) for server in servers]

    async def _settle(
        self,
        delivery: Delivery,
        outcome: Literal["delivered", "dead"],
        lease_seconds: float | None,
        status: str,
        reason: str,
    ) -> Delivery | None:
        member, bucket = delivery.member, delivery.bucket
        reply: list[Any] = await self._run(
            self._outbox_scripts.outbox_settle,
            [
                self._keys.queues(bucket) + member,
                self._keys.states(bucket) + member,
                *(self._keys.of(bucket, name) for name in ("due", "totals", "dead")),
            ],
            None,
            member,
            delivery.token,
            delivery.entry,
            outcome,
            None if lease_seconds is None else milliseconds(lease_seconds),
            status,
            reason,
            self._most,
            await self.room(),
        )
        if reply[0] == "released":
            self._touched.add(bucket)
        if reply[0] != "next":
            return None
        entry, message_id, payload = reply[1:]
        return replace(delivery, attempts=1, entry=entry, message_id=message_id, payload=payload)


def _time(entry: str) -> int:
    """Milliseconds since the epoch at which a stream's entry was made."""
    return int(entry.partition("-")[0])
