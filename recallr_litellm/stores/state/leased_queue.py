"""A queue in Redis whose members are leased to one worker at a time; each may be worked on more than once.

A member's score in `due` is when it may be claimed. Claiming moves the score to the end of the lease, so the work of a
dead worker is due again by itself. What is queued under a member (the messages of a session, payloads of an outbox)
stays with it; the queue holds only names. Members begin with their owner's key and are kept in buckets, each in one
slot of a Redis Cluster. Keys: `stores/state/keys.py`.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from operator import add
from typing import Any, Final, NamedTuple

from redis.commands.core import AsyncScript

from recallr_litellm.core.owner import Owner
from recallr_litellm.errors import StateRefused
from recallr_litellm.logs import Once
from recallr_litellm.stores.state import codec, keys
from recallr_litellm.stores.state.calls import RedisCaller, is_outage
from recallr_litellm.stores.state.connection import Link
from recallr_litellm.stores.state.lua import QueueScripts

_log = logging.getLogger(__name__)

_COUNTED_AT_ONCE: Final = 500
"""Members that one script looks at: Redis does nothing else for about a millisecond."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """A member leased to whoever holds this.

    It ends when its time is over and another worker claims the member, or when the member changes owner otherwise
    (a user comes back to a session). Then no method of the queue does anything for it.
    """

    member: str
    bucket: int
    token: str
    """Unique to this lease."""
    attempts: int
    """Claims that counted, this one included."""


class QueueLength(NamedTuple):
    """Members of a queue."""

    waiting: int
    """Not due yet."""
    due: int
    leased: int
    """Being worked on."""
    failed: int
    """Set aside."""


class LeasedQueue(RedisCaller):
    """Claiming, extending, postponing and setting aside. Times are Redis's own unless `now_ms` is given."""

    queue: keys.QueueKeys

    def __init__(self, link: Link, *, timeout_seconds: float) -> None:
        super().__init__(link, timeout_seconds=timeout_seconds)
        self._queue_scripts = QueueScripts.of(link.client)
        self._damaged = Once()

    async def extend(self, lease: Lease, lease_seconds: float, *, now_ms: int | None = None) -> bool:
        """Let the lease end `lease_seconds` from now. False if it has ended already: stop working."""
        arguments = (lease.member, lease.token, milliseconds(lease_seconds))
        return bool(await self._run(self._queue_scripts.extend, self._names(lease), now_ms, *arguments))

    async def postpone(
        self, lease: Lease, delay_seconds: float, reason: str, *, counts: bool, now_ms: int | None = None
    ) -> None:
        """Give the member back, to be due in `delay_seconds`.

        `counts=False` takes the attempt back: an outage is not the member's fault.
        """
        arguments = (lease.member, lease.token, milliseconds(delay_seconds), reason, int(counts))
        await self._run(self._queue_scripts.postpone, self._names(lease), now_ms, *arguments)

    async def set_failed(self, lease: Lease, reason: str, *, now_ms: int | None = None) -> None:
        """Set the member aside, with all that is queued under it, until `requeue_failed`."""
        names = [*self._names(lease), self.queue.failed(lease.bucket)]
        await self._run(self._queue_scripts.fail, names, now_ms, lease.member, lease.token, reason)

    async def requeue_failed(self, *, now_ms: int | None = None) -> int:
        """Make all failed members due now, their attempts forgotten. Returns how many."""
        requeued = 0
        for bucket in range(keys.BUCKETS):
            names = [self.queue.due(bucket), self.queue.failed(bucket)]
            requeued += await self._run(self._queue_scripts.requeue, names, now_ms, self.queue.states(bucket))
        return requeued

    async def requeue(self, members: Collection[tuple[int, str]]) -> int:
        """Make these failed members, each with its bucket, due now, their attempts forgotten. Returns how many."""
        requeued = 0
        for bucket, member in members:
            names = [self.queue.due(bucket), self.queue.failed(bucket)]
            requeued += await self._run(self._queue_scripts.requeue, names, None, self.queue.states(bucket), member)
        return requeued

    async def depth(self, *, now_ms: int | None = None) -> dict[str, int]:
        """Members that are `due` now, `waiting` (not due yet, or leased) and `failed`."""
        counts = await asyncio.gather(
            *(
                self._run_in(bucket, self._queue_scripts.depth, now_ms, otherwise=[0, 0, 0])
                for bucket in range(keys.BUCKETS)
            )
        )
        return dict(zip(("due", "waiting", "failed"), map(sum, zip(*counts, strict=True)), strict=True))

    async def lengths_by_project(self) -> dict[str, QueueLength]:
        """How much each project has in the queue; of those whose members' states say whose they are."""
        queues = [
            (of_kind(bucket), bucket)
            for of_kind in (self.queue.due, self.queue.failed)
            for bucket in range(keys.BUCKETS)
        ]
        async with self._reaching(), self._client.pipeline(transaction=False) as pipeline:
            for name, _ in queues:
                pipeline.zcard(name)
            sizes: list[Any] = await pipeline.execute(raise_on_error=False)
        counts: defaultdict[str, list[int]] = defaultdict(lambda: [0, 0, 0, 0])
        for number, ((name, bucket), size) in enumerate(zip(queues, sizes, strict=True)):
            if isinstance(size, Exception):
                continue  # damaged, which is reported by those who work on it
            for first in range(0, size, _COUNTED_AT_ONCE):
                arguments = (self.queue.states(bucket), first, first + _COUNTED_AT_ONCE - 1)
                for project, *lengths in await self._run(self._queue_scripts.by_project, [name], None, *arguments):
                    if number < keys.BUCKETS:
                        counts[project][:3] = map(add, counts[project], lengths)
                    else:
                        counts[project][3] += sum(lengths)
        return {project: QueueLength(*lengths) for project, lengths in counts.items()}

    async def _set_aside(self) -> list[tuple[Owner, str, str]]:
        """Every failed member with its owner and its reason."""
        async with self._reaching(), self._client.pipeline(transaction=False) as pipeline:
            for bucket in range(keys.BUCKETS):
                pipeline.zrange(self.queue.failed(bucket), 0, -1)
            queues = await pipeline.execute()
        members = [(bucket, member) for bucket, queue in enumerate(queues) for member in queue]
        if not members:
            return []
        async with self._reaching(), self._client.pipeline(transaction=False) as pipeline:
            for bucket, member in members:
                pipeline.hmget(self.queue.states(bucket) + member, ["owner", "reason"])
            states = await pipeline.execute(raise_on_error=False)
        return [
            (codec.load_owner(state[0], member), member, state[1] or "")
            for (_, member), state in zip(members, states, strict=True)
            # An error: the value is damaged. No owner: it was taken up again, or forgotten, between the two reads.
            if not isinstance(state, Exception) and state[0] is not None
        ]

    async def _lease_due(
        self,
        limit: int,
        fields: Collection[str],
        *,
        lease_seconds: float,
        busy: Collection[str] | None = None,
        buckets: Collection[int] = range(keys.BUCKETS),
        now_ms: int | None = None,
    ) -> list[tuple[Lease, list[str | None]]]:
        """Lease up to `limit` members that are due, beginning with the bucket whose first has waited longest. Of
        concurrent calls each gets other members.

        Args:
            fields: of a member's state, returned with its lease.
            busy: keys of owners of whom nothing is leased now, and of each other owner one member only; None: no such
                limit.
            buckets: where to look.
        """
        leased: list[tuple[Lease, list[str | None]]] = []
        taken = None if busy is None else set(busy)
        for earliest, bucket in await self._heads(buckets):
            if len(leased) >= limit:
                break
            token = uuid.uuid4().hex
            now, rows, damaged = await self._run_in(
                bucket,
                self._queue_scripts.claim,
                now_ms,
                limit - len(leased),
                milliseconds(lease_seconds),
                token,
                self.queue.states(bucket),
                int(taken is not None),
                " ".join(taken or ()),
                *fields,
                otherwise=[earliest, [], []],
            )
            for member in damaged:
                _log.error("%s%s in Redis is damaged and is set aside", self.queue.states(bucket), member)
            if not rows and earliest > now:
                break  # nothing is due in this bucket, nor in those that follow
            leased += [
                (Lease(member=member, bucket=bucket, token=token, attempts=attempts), values)
                for member, attempts, *values in rows
            ]
        return leased

    async def _heads(self, buckets: Collection[int]) -> list[tuple[float, int]]:
        """When the first member of each bucket is due (ms), and the bucket; earliest first. Without damaged buckets."""
        async with self._reaching(), self._client.pipeline(transaction=False) as pipeline:
            for bucket in buckets:
                pipeline.zrange(self.queue.due(bucket), 0, 0, withscores=True)
            heads: list[Any] = await pipeline.execute(raise_on_error=False)
            for error in heads:
                if isinstance(error, Exception) and is_outage(error):
                    raise error
        for bucket, head in zip(buckets, heads, strict=True):
            if isinstance(head, Exception):
                self._report_damage(bucket, head)
        return sorted(
            (head[0][1], bucket)
            for bucket, head in zip(buckets, heads, strict=True)
            if head and not isinstance(head, Exception)
        )

    async def _run_in(
        self, bucket: int, script: AsyncScript, *arguments: str | float | None, otherwise: list[Any]
    ) -> list[Any]:
        """Run a script on what is due and what has failed in a bucket; `otherwise` where the bucket is damaged, so that
        the others go on."""
        try:
            names = [self.queue.due(bucket), self.queue.failed(bucket)]
            found: list[Any] = await self._run(script, names, *arguments)
        except StateRefused as error:
            self._report_damage(bucket, error)
            return otherwise
        return found

    def _report_damage(self, bucket: int, error: Exception) -> None:
        due = self.queue.due(bucket)
        if self._damaged.first(due):
            _log.error("%s in Redis is damaged: what is queued there waits until it is repaired (%s)", due, error)

    def _names(self, lease: Lease) -> list[str]:
        return [self.queue.states(lease.bucket) + lease.member, self.queue.due(lease.bucket)]


def milliseconds(seconds: float) -> int:
    return round(seconds * 1000)
