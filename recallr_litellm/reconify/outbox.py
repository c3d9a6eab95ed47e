"""What waits to be sent to Reconify, in Redis.

Each session has a stream of its own, and its bucket a sorted set of when a session's first payload may be sent.
Claiming a session leases it to one worker, which sends its payloads one after another; the place in the set moves to
the end of the lease, so if the worker dies the session is due again by itself. Keys: `stores/state/keys.py`.
"""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from typing import Any, Final, Literal

from recallr_litellm.core.owner import Owner
from recallr_litellm.reconify.records import Added, DeadLetter, Delivery, OutboxStatus
from recallr_litellm.reconify.settings import ReconifySettings
from recallr_litellm.stores.state import keys
from recallr_litellm.stores.state.calls import RedisCaller
from recallr_litellm.stores.state.connection import Link, connect
from recallr_litellm.stores.state.lua import OutboxScripts

MARKER_SECONDS: Final = 3600
"""How long a message id is remembered, so that adding it again, after an answer of Redis was lost, adds nothing."""
_AT_A_TIME: Final = 50
"""Dead letters that one script or answer handles."""


class Outbox(RedisCaller):
    """The queue of payloads. Every change is one atomic script; all raise `StateUnavailable` when Redis does not do it.

        outbox = Outbox.open("redis://localhost:6379/0", settings, timeout_seconds=1.0)
        await outbox.add(owner, session_id, message_id, b'{"reconify": …}')
        for delivery in await outbox.claim(4, lease_seconds=30):
            ...
            following = await outbox.delivered(delivery, lease_seconds=30)

    Args:
        settings: how much there is room for.
        timeout_seconds: bounds each round trip.
    """

    def __init__(self, link: Link, settings: ReconifySettings, *, timeout_seconds: float) -> None:
        super().__init__(link, timeout_seconds=timeout_seconds)
        self._outbox_scripts = OutboxScripts.of(link.client)
        self._most = settings.max_queued // keys.BUCKETS
        self._most_bytes = settings.max_queued_mb * 1024 * 1024 // keys.BUCKETS
        self._known: dict[int, float] = {}
        """Buckets in which something may be due, and since when, ms; 0 where that is not known."""

    @classmethod
    def open(cls, url: str, settings: ReconifySettings, *, timeout_seconds: float) -> Outbox:
        """The outbox in this Redis (forms of URLs: `RedisUrl.parse`). Connects when first used.

        Raises:
            ConfigurationError: the URL cannot be understood.
        """
        return cls(connect(url, timeout_seconds=timeout_seconds), settings, timeout_seconds=timeout_seconds)

    async def add(
        self, owner: Owner | None, session: str, message_id: str, payload: bytes, *, now_ms: int | None = None
    ) -> Added:
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
            keys.outbox_queues(bucket) + member,
            keys.outbox_states(bucket) + member,
            *(keys.outbox(bucket, name) for name in ("due", "oldest", "totals")),
            keys.outbox_added(member, message_id),
        ]
        arguments = (member, message_id, payload, self._most, self._most_bytes, MARKER_SECONDS)
        added = Added(await self._run(self._outbox_scripts.outbox_add, names, now_ms, *arguments))
        if added is Added.ADDED:
            self._known[bucket] = 0
        return added

    async def claim(
        self, limit: int, *, lease_seconds: float, everywhere: bool = True, now_ms: int | None = None
    ) -> list[Delivery]:
        """Lease up to `limit` sessions whose first payload may be sent, beginning with the bucket that waits longest.
        Of concurrent claims each gets other sessions.

        Args:
            everywhere: False: only where this object has added something, let it go, or left it over in a claim.
        """
        if everywhere:
            heads = await self._queues()
            self._known |= heads
        claims: list[Delivery] = []
        for bucket, earliest in sorted(self._known.items(), key=lambda known: known[1]):
            if len(claims) >= limit:
                break
            self._known.pop(bucket, None)
            lease, asked = uuid.uuid4().hex, limit - len(claims)
            now, rows = await self._run(
                self._outbox_scripts.outbox_claim,
                [keys.outbox(bucket, name) for name in ("due", "oldest", "leased")],
                now_ms,
                asked,
                _milliseconds(lease_seconds),
                lease,
                keys.outbox_queues(bucket),
                keys.outbox_states(bucket),
            )
            if not rows and earliest > now:  # with rows: something has become due since the look
                # Nothing is due in this bucket, nor in those that follow.
                self._known = {bucket: since for bucket, since in self._known.items() if since <= now}
                break
            if len(rows) == asked:
                self._known[bucket] = now
            claims += [Delivery(member, lease, *rest) for member, *rest in rows]
        return claims

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

    async def postpone(
        self,
        delivery: Delivery,
        delay_seconds: float,
        *,
        failed_at: int | None,
        counts: bool,
        now_ms: int | None = None,
    ) -> None:
        """Give the session back, to be due in `delay_seconds`. Does nothing if the lease has ended.

        Args:
            failed_at: when the attempt failed, ms since the epoch; None if there was no attempt.
            counts: whether the failure may be the payload's own.
        """
        bucket = keys.outbox_bucket(delivery.member)
        await self._run(
            self._outbox_scripts.outbox_postpone,
            [
                keys.outbox_states(bucket) + delivery.member,
                *(keys.outbox(bucket, name) for name in ("due", "leased", "totals")),
            ],
            now_ms,
            delivery.member,
            delivery.lease,
            _milliseconds(delay_seconds),
            failed_at,
            int(counts),
        )

    async def dead(self) -> AsyncIterator[DeadLetter]:
        """Every dead letter; of one bucket the oldest first."""
        for bucket in range(keys.BUCKETS):
            after = "-"
            while True:
                rows: Any
                async with self._reaching():
                    rows = await self._client.xrange(keys.outbox(bucket, "dead"), after, "+", count=_AT_A_TIME)
                if not rows:
                    break
                for entry, letter in rows:
                    session = letter["member"].partition(":")[2]
                    yield DeadLetter(session, letter["message"], letter["status"], letter["reason"], _time(entry))
                after = f"({rows[-1][0]}"

    async def requeue_dead(self) -> int:
        """Put the dead letters there are at the end of their sessions' queues, room or not. Returns how many."""
        requeued = 0
        for bucket in range(keys.BUCKETS):
            names = [keys.outbox(bucket, name) for name in ("dead", "due", "oldest", "totals")]
            newest: Any
            async with self._reaching():
                newest = await self._client.xrevrange(names[0], count=1)
            moved = _AT_A_TIME
            while newest and moved:  # those that die again meanwhile are newer: they are left
                arguments = (newest[0][0], _AT_A_TIME, keys.outbox_queues(bucket), keys.outbox_states(bucket))
                moved = await self._run(self._outbox_scripts.outbox_requeue, names, None, *arguments)
                requeued += moved
        return requeued

    async def drop_dead(self) -> int:
        """Delete all dead letters. Returns how many."""
        return sum(
            [
                await self._run(
                    self._outbox_scripts.outbox_drop_dead, [keys.outbox(bucket, name) for name in ("dead", "totals")]
                )
                for bucket in range(keys.BUCKETS)
            ]
        )

    async def purge(self, owner: Owner) -> int:
        """Delete all of an owner's payloads, queued and dead. Returns how many. One that is just being sent arrives."""
        return sum(
            [
                await self._run(
                    self._outbox_scripts.outbox_purge,
                    [keys.outbox(bucket, name) for name in ("due", "oldest", "leased", "totals", "dead")],
                    keys.outbox_prefix(owner),
                    keys.outbox_queues(bucket),
                    keys.outbox_states(bucket),
                )
                for bucket in range(keys.BUCKETS)
            ]
        )

    async def status(self, *, now_ms: int | None = None) -> OutboxStatus:
        """What there is and what became of the rest, of all workers together."""
        rows = [
            await self._run(
                self._outbox_scripts.outbox_status,
                [keys.outbox(bucket, name) for name in ("oldest", "leased", "totals", "dead")],
                now_ms,
            )
            for bucket in range(keys.BUCKETS)
        ]
        ages, *counts = zip(*rows, strict=True)
        return OutboxStatus(max(ages), *map(sum, counts))

    async def _settle(
        self,
        delivery: Delivery,
        outcome: Literal["delivered", "dead"],
        lease_seconds: float | None,
        status: str,
        reason: str,
    ) -> Delivery | None:
        member, bucket = delivery.member, keys.outbox_bucket(delivery.member)
        reply: list[Any] = await self._run(
            self._outbox_scripts.outbox_settle,
            [
                keys.outbox_queues(bucket) + member,
                keys.outbox_states(bucket) + member,
                *(keys.outbox(bucket, name) for name in ("due", "oldest", "leased", "totals", "dead")),
            ],
            None,
            member,
            delivery.lease,
            delivery.entry,
            outcome,
            None if lease_seconds is None else _milliseconds(lease_seconds),
            status,
            reason,
            self._most,
            self._most_bytes,
        )
        if reply[0] == "released":
            self._known[bucket] = 0
        if reply[0] != "next":
            return None
        _, entry, message_id, payload = reply
        return Delivery(member, delivery.lease, entry, message_id, payload, attempts=0, failed_at=0)

    async def _queues(self) -> dict[int, float]:
        """Each bucket with payloads, and when its first is due, ms."""
        async with self._reaching(), self._client.pipeline(transaction=False) as pipeline:
            for bucket in range(keys.BUCKETS):
                pipeline.zrange(keys.outbox(bucket, "due"), 0, 0, withscores=True)
            heads = await pipeline.execute()
        return {bucket: head[0][1] for bucket, head in enumerate(heads) if head}


def _milliseconds(seconds: float) -> int:
    return round(seconds * 1000)


def _time(entry: str) -> int:
    """Milliseconds since the epoch at which a stream's entry was made."""
    return int(entry.partition("-")[0])
