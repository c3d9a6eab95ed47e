"""What the request path sees of Reconify: a place to put finished interactions."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from recallr_litellm.core.owner import Owner
from recallr_litellm.delivery.circuit import Circuit
from recallr_litellm.delivery.outbox import Outbox
from recallr_litellm.delivery.records import Added
from recallr_litellm.delivery.sender import Destination, Sender
from recallr_litellm.errors import StateRefused, StateUnavailable
from recallr_litellm.metrics import FAULTS, RECONIFY, RECONIFY_HELD, RECONIFY_QUEUE
from recallr_litellm.reconify.client import ReconifyClient
from recallr_litellm.reconify.settings import ReconifySettings
from recallr_litellm.reconify.wire import encoded
from recallr_litellm.stores.circuit_breaker import CircuitBreaker
from recallr_litellm.stores.state import keys
from recallr_litellm.tasks import InFlight

_log = logging.getLogger(__name__)

_RECONIFY: Final = Destination("Reconify", "reconify", RECONIFY, ", see `recallr reconify dead`")
_FULL: Final = "the outbox is full (RECONIFY_MAX_QUEUED, RECONIFY_MAX_QUEUED_MB, or an eighth of Redis' maxmemory)"
_COUNT_SECONDS: Final = 10.0
"""How often the outbox is counted for the metrics."""

_MOST_HELD_BYTES: Final = 64 * 1024 * 1024
"""Bound on the JSON of held payloads: a thousand of them may be small talk, or a megabyte each."""


@dataclass(frozen=True, slots=True, eq=False)
class _Waiting:
    """A payload that is to be queued."""

    owner: Owner | None
    session: str
    message_id: str
    payload: bytes
    """JSON, without keys."""
    received_at: int

    def in_session_of(self, other: _Waiting) -> bool:
        """Whether both have to be sent in their order."""
        return bool(self.session) and (self.owner, self.session) == (other.owner, other.session)


class Reconify:
    """Queues finished interactions and sends them in the background.

    Args:
        breaker: of Redis; an outage found here trips it.
        timeout_seconds: bounds each round trip to Redis.
        interval: seconds between looks for what is due, or held.
        capacity: payloads held while Redis is unreachable.
        may_keep: whether what was received at a time, milliseconds since the epoch, may be queued for its user;
            None where nobody is ever forgotten.
        in_flight: the requests that sending gives way to.

    Raises:
        ConfigurationError: Reconify is off, or the URL cannot be understood.
    """

    def __init__(
        self,
        settings: ReconifySettings,
        redis_url: str,
        breaker: CircuitBreaker,
        *,
        timeout_seconds: float,
        interval: float,
        capacity: int,
        may_keep: Callable[[Owner, int], Awaitable[bool]] | None = None,
        in_flight: InFlight,
    ) -> None:
        self.settings = settings
        self._may_keep = may_keep
        self._outbox = Outbox.open(redis_url, keys.RECONIFY, settings.limits, timeout_seconds=timeout_seconds)
        self._client = ReconifyClient(settings)
        self._breaker = breaker
        self._interval = interval
        self._capacity = capacity
        self._held: deque[_Waiting] = deque()
        """Oldest first."""
        self._flushing = asyncio.Lock()
        circuit = Circuit(settings.max_pause_seconds)
        self._sender = Sender(
            self._outbox,
            self._client,
            _RECONIFY,
            circuit,
            breaker,
            in_flight,
            settings.limits,
            interval=interval,
        )

    @property
    def background(self) -> tuple[Callable[[], Coroutine[Any, Any, None]], ...]:
        """What has to run, each for ever."""
        return self._sender.run, self._keep_flushing, self._keep_counting

    @property
    def held(self) -> int:
        """Payloads waiting in this process for Redis."""
        return len(self._held)

    async def add(
        self,
        owner: Owner | None,
        session: str,
        message_id: str,
        payload: dict[str, Any],
        *,
        within: float,
        received_at: int | None = None,
    ) -> bool:
        """Queue an interaction, or hold it in this process when that fails or takes longer than `within` seconds.

        Args:
            owner: whose it is; None for a request without a user.
            session: interactions of one session are sent in the order in which they are added; empty: on its own.
            message_id: unique to the interaction, and the same whenever it is added again.
            payload: JSON of the REST document, without keys.
            received_at: when its request came, milliseconds since the epoch; None for now. Of a user who was forgotten
                later, it is not queued.

        Returns:
            True when it is in Redis, False when it is held, or dropped, which is counted and logged.
        """
        try:
            text = encoded(payload)
        except (TypeError, ValueError, RecursionError) as error:
            self._drop(message_id, f"it is no JSON ({type(error).__name__})")
            return False
        waiting = _Waiting(owner, session, message_id, text, received_at or time.time_ns() // 1_000_000)
        if not self._breaker.allows_requests:
            self._hold(waiting)
            return False
        try:
            async with asyncio.timeout(within):
                if any(map(waiting.in_session_of, self._held)):  # a session's interactions are queued in their order
                    await self.flush()
                return await self._put(waiting)
        except StateUnavailable as error:
            self._breaker.trip(error)
            self._hold(waiting)
        except TimeoutError:
            self._breaker.suspect()
            self._hold(waiting)
        except asyncio.CancelledError:
            self._hold(waiting)
            raise
        except Exception:  # noqa: BLE001 - nobody's answer may fail for a fault of ours
            FAULTS.labels("reconify").inc()
            _log.exception("Queueing interaction %s for Reconify failed", message_id)
            self._hold(waiting)
        return False

    async def close(self) -> None:
        """Let go of everything. After the background work was cancelled; what is still held is counted as dropped."""
        while self._held:
            self._drop(self._held.popleft().message_id, "the state store did not come back before the shutdown")
        await self._sender.release_leases()
        await self._client.close()
        await self._outbox.close()

    async def _put(self, waiting: _Waiting) -> bool:
        owner, may_keep = waiting.owner, self._may_keep
        if owner is not None and may_keep is not None and not await may_keep(owner, waiting.received_at):
            return False
        added = await self._outbox.add(waiting.owner, waiting.session, waiting.message_id, waiting.payload)
        if added is Added.FULL:
            self._drop(waiting.message_id, _FULL)
            return False
        if added is Added.ADDED:
            RECONIFY.labels("queued").inc()
        self._sender.wake()
        return True

    async def flush(self) -> None:
        """Queue what is held, oldest first. Raises StateUnavailable when Redis does not answer; the rest stays held."""
        async with self._flushing:
            while self._held:
                waiting = self._held[0]
                try:
                    await self._put(waiting)
                except StateRefused as error:  # of this payload alone: the others must not wait for it
                    self._drop(waiting.message_id, str(error))
                with suppress(ValueError):  # dropped or purged meanwhile
                    self._held.remove(waiting)
                RECONIFY_HELD.set(len(self._held))

    def _hold(self, waiting: _Waiting) -> None:
        RECONIFY.labels("held").inc()
        if len(waiting.payload) > _MOST_HELD_BYTES // 8:
            self._drop(waiting.message_id, "it is too large to be held, and others would have to go for it")
            return
        self._held.append(waiting)
        while len(self._held) > self._capacity or sum(len(one.payload) for one in self._held) > _MOST_HELD_BYTES:
            oldest = self._held.popleft()
            self._drop(oldest.message_id, "too much is held in memory until the state store answers")
        RECONIFY_HELD.set(len(self._held))

    def _drop(self, message_id: str, why: str) -> None:
        RECONIFY.labels("dropped").inc()
        _log.error("Interaction %s is not reported to Reconify: %s", message_id, why)

    async def _keep_flushing(self) -> None:
        while True:
            await asyncio.sleep(self._interval)
            if self._held and self._breaker.allows_requests:
                try:
                    await self.flush()
                except StateUnavailable as error:
                    self._breaker.trip(error)

    async def _keep_counting(self) -> None:
        while True:
            await asyncio.sleep(_COUNT_SECONDS)
            if self._breaker.allows_requests:
                try:
                    status = await self._outbox.status()
                except StateUnavailable as error:
                    self._breaker.trip(error)
                else:
                    RECONIFY_QUEUE.labels("queued").set(status.queued)
                    RECONIFY_QUEUE.labels("dead").set(status.dead)
