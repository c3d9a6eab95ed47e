"""The other half of the state store: the queue of sessions that are to be processed.

A session is in its bucket's queue from its first request on, to be due when it has been quiet for
its timeout. Claiming leases it: its place in the queue moves to the end of the lease, so if its
worker dies it is due again by itself.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from dataclasses import replace

from recallr_litellm.core.owner import Owner
from recallr_litellm.stores.state import codec, keys
from recallr_litellm.stores.state.contents import SessionContents
from recallr_litellm.stores.state.records import Claim, Snapshot

logger = logging.getLogger(__name__)


class Queue(SessionContents):
    """What a worker does with sessions. At-least-once: a session may be processed more than once."""

    async def claim(
        self, limit: int, *, lease_seconds: float, into: str = "", now_ms: int | None = None
    ) -> list[Claim]:
        """Lease up to `limit` sessions that are due, beginning with the bucket whose first has waited longest. Of
        concurrent claims each gets other sessions. Sessions without messages are removed on the way.

        Args:
            into: name of the Qdrant collection that they will be made memory in. None are due for one that is retired
                (`Board.retire`).
        """
        claims: list[Claim] = []
        for earliest, bucket in await self._queues():
            more = True
            while more and len(claims) < limit:
                wanted = limit - len(claims)
                now, leased = await self._claim_in(bucket, wanted, lease_seconds, into, now_ms)
                if not leased and earliest > now:  # with some leased: they have become due since the look
                    return claims  # nothing is due in this bucket, nor in those that follow
                more = len(leased) == wanted
                claims += [claim for claim in leased if claim.snapshot.messages]
                await asyncio.gather(*(self.finish(claim) for claim in leased if not claim.snapshot.messages))
        return claims

    async def extend(self, claim: Claim, lease_seconds: float, *, now_ms: int | None = None) -> bool:
        """Let the lease end `lease_seconds` from now. False if it has ended already: stop, somebody else decides."""
        return bool(
            await self._run(
                self._scripts.extend,
                [keys.session(claim.owner, claim.session_id), keys.due(keys.bucket_of(claim.owner))],
                now_ms,
                keys.member(claim.owner, claim.session_id),
                claim.lease,
                _milliseconds(lease_seconds),
            )
        )

    async def finish(self, claim: Claim) -> bool:
        """Remove the processed session with all that belongs to it. True if nothing of it is left.

        False if the user came back to it, another worker has claimed it, or the collection that it was made memory in
        was retired, since: it stays, to become due again.
        """
        owner, session_id = claim.owner, claim.session_id
        names = [
            keys.session(owner, session_id),
            keys.blocks(owner, session_id),
            keys.due(keys.bucket_of(owner)),
            keys.open_sessions(owner),
            keys.current(owner),
            keys.retired(keys.bucket_of(owner)),
        ]
        prefix = keys.prefix(keys.bucket_of(owner))
        arguments = (prefix, keys.member(owner, session_id), session_id, claim.lease, claim.into)
        return bool(await self._run(self._scripts.finish, names, *arguments))

    async def postpone(
        self, claim: Claim, delay_seconds: float, reason: str, *, counts: bool, now_ms: int | None = None
    ) -> None:
        """Give the session back, to be due in `delay_seconds`. Does nothing if the lease has ended.

        `counts=False` takes the attempt back: an outage is not the session's fault.
        """
        await self._run(
            self._scripts.postpone,
            [keys.session(claim.owner, claim.session_id), keys.due(keys.bucket_of(claim.owner))],
            now_ms,
            keys.member(claim.owner, claim.session_id),
            claim.lease,
            _milliseconds(delay_seconds),
            reason,
            int(counts),
        )

    async def set_failed(self, claim: Claim, reason: str, *, now_ms: int | None = None) -> None:
        """Set the session aside with its messages. It is due again once its user comes back to it, or by
        `requeue_failed`. Does nothing if the lease has ended."""
        bucket = keys.bucket_of(claim.owner)
        await self._run(
            self._scripts.fail,
            [keys.session(claim.owner, claim.session_id), keys.due(bucket), keys.failed(bucket)],
            now_ms,
            keys.member(claim.owner, claim.session_id),
            claim.lease,
            reason,
        )

    async def failed(self) -> list[tuple[Owner, str, str]]:
        """Owner, session id and reason of every session set aside."""
        async with self._reaching(), self._client.pipeline(transaction=False) as pipeline:
            for bucket in range(keys.BUCKETS):
                pipeline.zrange(keys.failed(bucket), 0, -1)
            queues = await pipeline.execute()
        members = [(bucket, member) for bucket, queue in enumerate(queues) for member in queue]
        if not members:
            return []
        async with self._reaching(), self._client.pipeline(transaction=False) as pipeline:
            for bucket, member in members:
                pipeline.hmget(keys.sessions(bucket) + member, ["owner", "reason"])
            replies = await pipeline.execute()
        return [
            (codec.load_owner(owner), keys.session_id_of(member), reason or "")
            for (_, member), (owner, reason) in zip(members, replies, strict=True)
            if owner is not None  # else it was taken up again between the two reads
        ]

    async def requeue_failed(self, *, now_ms: int | None = None) -> int:
        """Make all failed sessions due now, their attempts forgotten. Returns how many."""
        requeued = 0
        for bucket in range(keys.BUCKETS):
            names = [keys.due(bucket), keys.failed(bucket)]
            requeued += await self._run(self._scripts.requeue, names, now_ms, keys.sessions(bucket))
        return requeued

    async def depth(self, *, now_ms: int | None = None) -> dict[str, int]:
        """Sessions that are `due` now, `waiting` (their time has not come, or they are leased) and `failed`."""
        queues = [
            await self._run(self._scripts.depth, [keys.due(bucket), keys.failed(bucket)], now_ms)
            for bucket in range(keys.BUCKETS)
        ]
        return dict(zip(("due", "waiting", "failed"), map(sum, zip(*queues, strict=True)), strict=True))

    async def _queues(self) -> list[tuple[float, int]]:
        """Of each bucket with sessions in its queue: when the first is due (ms), and the bucket; earliest first."""
        async with self._reaching(), self._client.pipeline(transaction=False) as pipeline:
            for bucket in range(keys.BUCKETS):
                pipeline.zrange(keys.due(bucket), 0, 0, withscores=True)
            heads = await pipeline.execute()
        return sorted((head[0][1], bucket) for bucket, head in enumerate(heads) if head)

    async def _claim_in(
        self, bucket: int, limit: int, lease_seconds: float, into: str, now_ms: int | None
    ) -> tuple[int, list[Claim]]:
        """Redis's time (ms) and the sessions leased, those without messages too."""
        lease = uuid.uuid4().hex
        arguments = (limit, _milliseconds(lease_seconds), lease, keys.sessions(bucket), into)
        now, rows = await self._run(self._scripts.claim, [keys.due(bucket), keys.retired(bucket)], now_ms, *arguments)
        claims: list[Claim] = []
        unreadable: list[Claim] = []
        for member, owner, created, last, timeout, version, attempts in rows:
            claim = Claim(
                owner=codec.load_owner(owner),
                session_id=keys.session_id_of(member),
                snapshot=Snapshot(version, (), created, last, timeout),
                attempts=attempts,
                lease=lease,
                into=into,
            )
            try:
                snapshot = await self.load(claim.owner, claim.session_id) or claim.snapshot
            except ValueError:  # written by another version, or damaged: it must not keep the others from their turn
                logger.exception("Session %s cannot be read and is set aside", claim.session_id)
                unreadable.append(claim)
            else:
                claims.append(replace(claim, snapshot=snapshot))
        await asyncio.gather(*(self.set_failed(claim, "cannot be read") for claim in unreadable))
        return now, claims


def _milliseconds(seconds: float) -> int:
    return round(seconds * 1000)
