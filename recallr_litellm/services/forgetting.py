"""Forgetting a user or a session, whatever is done with it meanwhile.

First a mark is left in Redis, with which nothing of the user is written any more: no request in flight, no exchange
that a worker still holds, no job under way brings anything back. With it comes a job on a queue. Whoever was asked
works on it at once; if that worker dies, another one finishes it. When nobody can be at work any more who began before
the mark was left, the job is done once more, for what was written too late.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from recallr_litellm.core.owner import Owner
from recallr_litellm.delivery.outbox import Outbox
from recallr_litellm.delivery.records import Limits
from recallr_litellm.errors import StateUnavailable, Unavailable
from recallr_litellm.learning.forgetting import forget_session
from recallr_litellm.learning.knowing import Knowing
from recallr_litellm.metrics import FAULTS
from recallr_litellm.stores.circuit_breaker import CircuitBreaker
from recallr_litellm.stores.state import keys
from recallr_litellm.stores.state.forgetting import ForgettingJob, ForgettingQueue, InMotion

_log = logging.getLogger(__name__)

_AT_ONCE: Final = 4
"""Jobs of others that are taken over at a time."""
_LEASES: Final = 2
"""How many leases long nothing written too late must have been found until a job is done."""
_NO_ROOM: Final = Limits(max_queued=0, max_queued_mb=0, max_attempts=1, timeout_seconds=1.0, max_pause_seconds=1.0)
"""Of outboxes to which nothing is added here."""


@dataclass(frozen=True, slots=True)
class Forgotten:
    """What was deleted."""

    open_sessions: int = 0
    """Not yet processed ones."""
    processed_sessions: int = 0
    messages: int = 0
    memories: int = 0
    payloads: int = 0
    """For Reconify and webhooks, refused ones too."""

    @property
    def anything(self) -> bool:
        """Whether there was something."""
        return self != Forgotten()


class Forgetting:
    """Forgets.

    Args:
        breaker: of Redis; an outage found here trips it.
        interval: seconds between looks for jobs that somebody else has left.
        lease_seconds: how long a worker may be silent about a job, or about a session that it processes.
        on_user_forgotten: called at least once when a user is forgotten.
    """

    def __init__(
        self,
        knowing: Knowing,
        breaker: CircuitBreaker,
        *,
        timeout_seconds: float,
        interval: float,
        lease_seconds: float,
        on_user_forgotten: Callable[[Owner], Awaitable[None]] | None = None,
    ) -> None:
        self._state = knowing.state
        self._knowing = knowing
        self._vectors = knowing.vectors
        self._breaker = breaker
        self._queue = ForgettingQueue(self._state.link, timeout_seconds=timeout_seconds)
        # Also of what is switched off now: something may have been left in it.
        self._outboxes = [
            Outbox(self._state.link, names, _NO_ROOM, timeout_seconds=timeout_seconds)
            for names in (keys.RECONIFY, keys.WEBHOOKS)
        ]
        self._interval = interval
        self._lease_seconds = lease_seconds
        self._on_user_forgotten = on_user_forgotten

    async def forget_user(self, owner: Owner) -> Forgotten:
        """Delete a user and all that there is of it.

        Raises:
            Unavailable: a store does not answer. If Redis has answered before, it is finished when the store does.
        """
        user = await self._vectors.get_user(owner)
        names = {owner.name_key: (owner.user, _now())}
        if user is not None:
            names |= {Owner(owner.project, one.user).name_key: one for one in user.former_names}
            names[user.owner.name_key] = (user.user, _now())
        for name, until in names.values():
            await self._state.forget_name(Owner(owner.project, name), until)
        begun = await self._queue.begin(owner, name_keys=names, lease_seconds=self._lease_seconds)
        assert begun is not None
        return await self._work(begun[0])

    async def forget_session(self, owner: Owner, session_id: str, *, unused_since: int | None = None) -> Forgotten:
        """Delete a session, processed or not, and the memories that came from it alone.

        Args:
            unused_since: leaves a session alone that was used later, milliseconds since the epoch.

        Raises:
            Unavailable: as for `forget_user`.
        """
        begun = await self._queue.begin(owner, session_id, lease_seconds=self._lease_seconds, unused_since=unused_since)
        if begun is None:
            return Forgotten()
        job, moving = begun
        return await self._work(job, moving)

    async def run(self) -> None:
        """Finish for ever what others have begun, and look once more after what is done."""
        while True:
            await asyncio.sleep(self._interval)
            if not self._breaker.allows_requests:
                continue
            try:
                for job in await self._queue.claim(_AT_ONCE, lease_seconds=self._lease_seconds):
                    await self._take_over(job)
            except StateUnavailable as error:
                self._breaker.trip(error)

    async def _take_over(self, job: ForgettingJob) -> None:
        try:
            await self._work(job)
        except StateUnavailable:
            raise
        except Exception as error:  # noqa: BLE001 - it is tried until it is done
            if not isinstance(error, Unavailable):
                FAULTS.labels("forgetting").inc()
                _log.exception("Forgetting cannot be finished (attempt %d)", job.attempts)
            reason = type(error).__name__
            await self._queue.postpone(job, min(600.0, 2.0**job.attempts), reason, counts=True)

    async def _work(self, job: ForgettingJob, moving: InMotion | None = None) -> Forgotten:
        found = await (self._delete_session(job, moving) if job.session_id else self._delete_user(job))
        await self._vectors.flush()
        if not job.session_id and self._on_user_forgotten is not None:
            await self._on_user_forgotten(job.owner)
        await self._queue.finish(job, settled_seconds=_LEASES * self._lease_seconds, found=found.anything)
        return found

    async def _delete_session(self, job: ForgettingJob, moving: InMotion | None) -> Forgotten:
        remembered = await self._vectors.count_remembered(job.owner, job.session_id)
        await forget_session(self._knowing, job.owner, job.session_id)
        await self._state.forget_explained(job.owner)  # any of them may quote it, as may blocks of open sessions
        await self._state.forget_blocks(job.owner)
        payloads = await self._purge(job.owner, job.session_id)
        sessions, messages = moving or InMotion(0, 0)
        return Forgotten(sessions, remembered.sessions, messages + remembered.messages, remembered.memories, payloads)

    async def _delete_user(self, job: ForgettingJob) -> Forgotten:
        owner = job.owner
        await self._vectors.delete_user(owner)  # first, so that nobody finds half of a user
        remembered = await self._vectors.count_remembered(owner)
        await self._vectors.delete_all_of(owner)
        await self._state.forget_explained(owner)
        payloads = await self._purge(owner)
        for key in job.name_keys:  # of requests whose user was not looked up, since Redis was unreachable
            name = Owner(owner.project, owner.user, key)
            if key != owner.key and await self._vectors.get_user(name) is None:
                payloads += await self._purge(name)
        sessions, messages = await self._queue.delete_all_of(owner)
        return Forgotten(sessions, remembered.sessions, messages + remembered.messages, remembered.memories, payloads)

    async def _purge(self, owner: Owner, session_id: str = "") -> int:
        return sum([await outbox.purge(owner, session_id) for outbox in self._outboxes])


def _now() -> int:
    return time.time_ns() // 1_000_000
