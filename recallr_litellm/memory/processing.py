"""Turns sessions that have been quiet for their timeout into memory, in the background, at least once.

A session leaves Redis only after all of it is in Qdrant. Up to `_AT_ONCE` sessions are processed at the same time, of
each user one: their passages are embedded in turn, so a short session overtakes a long one that began earlier.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from recallr_litellm.core.owner import Owner
from recallr_litellm.errors import (
    EmbeddingBusy,
    EmbeddingMisconfigured,
    EmbeddingUnavailable,
    StateRefused,
    StateUnavailable,
    Unavailable,
    VectorsUnavailable,
)
from recallr_litellm.memory.gone import undo_if_gone
from recallr_litellm.memory.remembering import SessionMemory
from recallr_litellm.metrics import FAULTS, PROCESSING, SESSIONS
from recallr_litellm.stores.circuit_breaker import CircuitBreaker
from recallr_litellm.stores.embedding import Embedder, SparseEncoder
from recallr_litellm.stores.state import Claim, StateStore
from recallr_litellm.stores.vectors import VectorStore
from recallr_litellm.tasks import end

_log = logging.getLogger(__name__)

_AT_ONCE: Final = 16
"""Sessions processed at the same time. More make each one slower; fewer make short ones wait for long ones."""

_LONGEST_PAUSE: Final = 600.0
"""Seconds until an embedding model is tried again that asks for a longer pause."""

_KILLED: Final = "the process ended while processing it"


@dataclass(slots=True, eq=False)
class _Job:
    """A claimed session."""

    claim: Claim
    task: asyncio.Task[None] = field(init=False)
    remembered: bool = False
    """It is in Qdrant, but would not yet survive a power cut there."""
    last_at: int = 0
    """When it was last used, ms, as it was remembered."""


class Processor:
    """Claims due sessions and makes memory of them.

    Args:
        interval: seconds between looks for due sessions.
        vectors_breaker: of writes to Qdrant.
        lease_seconds: how long a claim lasts without a sign of life.
        max_attempts: failures after which a session is set aside.
        on_processed: told of each session that became memory, with the time of its last use, before it leaves Redis:
            perhaps twice. For as long as it raises `StateUnavailable`, the session is processed again.
        count_tokens: see `SessionMemory`.
    """

    def __init__(
        self,
        state: StateStore,
        vectors: VectorStore,
        embedder: Embedder,
        sparse: SparseEncoder,
        *,
        state_breaker: CircuitBreaker,
        vectors_breaker: CircuitBreaker,
        embedding_breaker: CircuitBreaker,
        interval: float,
        lease_seconds: float,
        max_attempts: int,
        on_processed: Callable[[Owner, str, int], Awaitable[None]] | None = None,
        count_tokens: Callable[[str], int] | None = None,
    ) -> None:
        self._on_processed = on_processed
        self._state = state
        self._vectors = vectors
        self._memory = SessionMemory(vectors, embedder, sparse, wait=self._wait_for_model, count_tokens=count_tokens)
        self._state_breaker = state_breaker
        self._vectors_breaker = vectors_breaker
        self._embedding_breaker = embedding_breaker
        self._interval = interval
        self._lease_seconds = lease_seconds
        self._max_attempts = max_attempts
        self._on_processed = on_processed
        self._jobs: set[_Job] = set()
        """Claimed sessions that are still in Redis."""
        self._job_ended = asyncio.Event()

    async def run(self) -> None:
        """Work for ever. Ends only by cancellation, which cuts processing off: call `give_back` then."""
        await self.give_back()  # of a run that a fault has ended
        background = [asyncio.create_task(self._keep_leases()), asyncio.create_task(self._keep_finishing())]
        for task in background:
            task.add_done_callback(lambda _: self._job_ended.set())
        try:
            while True:
                self._job_ended.clear()
                for task in background:
                    if task.done():
                        task.result()  # raises the fault that has ended it
                for claim in await self._claim():
                    self._start(claim)
                try:
                    async with asyncio.timeout(self._interval):
                        await self._job_ended.wait()
                except TimeoutError:
                    continue
        finally:
            await end([*background, *(job.task for job in self._jobs)])

    async def give_back(self) -> None:
        """Make what was not finished due at once, for another worker or the next start; no attempt is counted."""
        jobs = [*self._jobs]
        self._jobs.clear()
        try:
            for job in jobs:
                with suppress(StateRefused):
                    await self._state.postpone(job.claim, 0, "the gateway stopped", counts=False)
        except StateUnavailable as error:
            _log.warning("Sessions stay leased until their leases end: %s", error)

    async def process(self, claims: Sequence[Claim]) -> None:
        """Make memory of these sessions and take them out of Redis."""
        keeper = asyncio.create_task(self._keep_leases())
        try:
            await asyncio.wait([self._start(claim).task for claim in claims])
            await self._finish_remembered()
        finally:
            await end([keeper, *(job.task for job in self._jobs)])
            self._jobs.clear()

    async def _claim(self) -> list[Claim]:
        room = _AT_ONCE - sum(not job.remembered for job in self._jobs)
        breakers = (self._state_breaker, self._vectors_breaker, self._embedding_breaker)
        if room <= 0 or not all(breaker.allows_requests for breaker in breakers):
            return []
        busy = {job.claim.owner for job in self._jobs if not job.remembered}
        try:
            return await self._state.claim(room, lease_seconds=self._lease_seconds, busy=busy)
        except StateUnavailable as error:
            self._state_breaker.trip(error)
            return []

    def _start(self, claim: Claim) -> _Job:
        job = _Job(claim)
        job.task = asyncio.create_task(self._attempt(job))
        self._jobs.add(job)
        job.task.add_done_callback(lambda _: self._ended(job))
        return job

    def _ended(self, job: _Job) -> None:
        if not job.remembered and not job.task.cancelled():  # a cancelled one is given back, or its lease is lost
            self._jobs.discard(job)
        self._job_ended.set()

    async def _attempt(self, job: _Job) -> None:
        """One session's fault does not stop the others."""
        claim = job.claim
        try:
            try:
                if claim.attempts > self._max_attempts:
                    await self._set_aside(claim, _KILLED)
                else:
                    with PROCESSING.time():
                        await self._remember(job)
            except StateUnavailable:
                raise
            except Unavailable as error:  # an outage is not the session's fault: the attempt does not count
                if isinstance(error, VectorsUnavailable):
                    self._vectors_breaker.trip(error)
                elif isinstance(error, EmbeddingUnavailable):
                    self._embedding_breaker.trip(error)
                await self._postpone(claim, _after_outage(), str(error), counts=False)
            except Exception as error:  # noqa: BLE001 - counted, and tried again
                FAULTS.labels("processing").inc()
                _log.exception("Processing session %s failed (attempt %d)", claim.session_id, claim.attempts)
                if claim.attempts < self._max_attempts:
                    await self._postpone(claim, _backoff(claim.attempts), type(error).__name__, counts=True)
                else:
                    await self._set_aside(claim, type(error).__name__)
        except StateUnavailable as error:
            self._state_breaker.trip(error)  # the session is due again when its lease has ended
        except Exception:  # noqa: BLE001 - logged; the lease ends by itself
            FAULTS.labels("processing").inc()
            _log.exception("Session %s can be neither processed nor given back", claim.session_id)

    async def _remember(self, job: _Job) -> None:
        claim = job.claim
        snapshot = await self._state.load(claim.owner, claim.session_id)
        if snapshot is None or (not snapshot.messages and snapshot.metadata is None):
            await self._state.finish(claim)
            return
        await self._memory.save(
            claim.owner,
            claim.session_id,
            snapshot,
            still_wanted=lambda: self._state.extend(claim, self._lease_seconds),
        )
        if await undo_if_gone(self._state.is_gone, self._vectors, claim.owner, claim.session_id):
            return
        job.last_at, job.remembered = snapshot.last_at, True

    async def _wait_for_model(self, error: EmbeddingUnavailable, failures: int) -> None:
        """Wait until the model may be tried again. The session stays leased: begun anew, it would be paid for again."""
        if isinstance(error, EmbeddingMisconfigured):
            raise error
        if not isinstance(error, EmbeddingBusy):  # a limit per minute does not keep requests from asking
            self._embedding_breaker.trip(error)
        named = error.retry_after if isinstance(error, EmbeddingBusy) else None
        pause = named if named is not None else 2.0 ** min(failures, 6)
        _log.info("Processing waits %.0f s for the embedding model: %s", pause, error)
        await asyncio.sleep(min(_LONGEST_PAUSE, pause) * random.uniform(1.0, 1.5))  # noqa: S311 - not a secret

    async def _postpone(self, claim: Claim, delay_seconds: float, reason: str, *, counts: bool) -> None:
        await self._state.postpone(claim, delay_seconds, reason, counts=counts)
        SESSIONS.labels("postponed").inc()

    async def _set_aside(self, claim: Claim, reason: str) -> None:
        await self._state.set_failed(claim, reason)
        SESSIONS.labels("failed").inc()
        _log.error("Session %s is set aside: %s. See `recallr failed`", claim.session_id, reason)

    async def _keep_finishing(self) -> None:
        while True:
            await asyncio.sleep(self._interval)
            await self._finish_remembered()

    async def _finish_remembered(self) -> None:
        """Take sessions out of Redis once they would survive a power cut in Qdrant.

        One flush for all of them: the embedded engine holds the interpreter's lock while it flushes.
        """
        remembered = [job for job in self._jobs if job.remembered]
        if not remembered:
            return
        try:
            await self._vectors.flush()
            for job in remembered:
                if self._on_processed is not None:
                    user = await self._vectors.get_user(job.claim.owner)  # by its name of today, not of the session
                    owner = user.owner if user is not None else job.claim.owner
                    await self._on_processed(owner, job.claim.session_id, job.last_at)
                with suppress(StateRefused):  # damaged since: its next claim sets it aside
                    if await self._state.finish(job.claim):
                        SESSIONS.labels("processed").inc()
        except VectorsUnavailable as error:
            self._vectors_breaker.trip(error)
        except StateUnavailable as error:
            self._state_breaker.trip(error)
        except Exception:  # noqa: BLE001 - else no session would leave Redis any more
            FAULTS.labels("processing").inc()
            _log.exception("Sessions that became memory cannot be taken out of Redis")
        finally:  # what is still in Redis is due again when its lease has ended
            self._jobs.difference_update(remembered)

    async def _keep_leases(self) -> None:
        """Extend the leases of sessions that are being processed. One whose lease is lost is given up: its user has
        come back, or another worker has the session, and what is written last would be the older of the two."""
        while True:
            await asyncio.sleep(self._lease_seconds / 3)
            for job in [*self._jobs]:
                if job.task.done():
                    continue
                try:
                    leased = await self._state.extend(job.claim, self._lease_seconds)
                except StateUnavailable as error:
                    self._state_breaker.trip(error)
                    continue
                except StateRefused:  # damaged since
                    leased = False
                # Of one who is forgotten it goes on to its end, where it deletes what it has written.
                if not leased and not await self._gone(job.claim):
                    job.task.cancel()
                    self._jobs.discard(job)

    async def _gone(self, claim: Claim) -> bool:
        try:
            return await self._state.is_gone(claim.owner, claim.session_id)
        except StateUnavailable as error:
            self._state_breaker.trip(error)
            return True  # asked again when the leases are extended next


def _after_outage() -> float:
    """Seconds until a session is tried again that failed through no fault of its own."""
    return random.uniform(2.0, 6.0)  # noqa: S311 - not a secret


def _backoff(attempts: int) -> float:
    """Seconds until the next attempt: doubling to ten minutes, spread so that sessions do not come back together."""
    return min(600.0, 2.0**attempts) * random.uniform(0.5, 1.0)  # noqa: S311 - not a secret
