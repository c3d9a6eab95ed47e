"""Learning in the background: takes users from the queue and learns their sessions, one at a time, in order of time."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from recallr_litellm.core.owner import Owner
from recallr_litellm.errors import ModelBusy, StateUnavailable, Unavailable
from recallr_litellm.learning.extracting import Extractor, Rules
from recallr_litellm.learning.model import WriteJson, Written
from recallr_litellm.learning.reconciling import Knowing, Reconciliation
from recallr_litellm.memory.gone import IsGone, undo_if_gone
from recallr_litellm.metrics import FAULTS, LEARNING, LEARNING_TOKENS
from recallr_litellm.stores.circuit_breaker import CircuitBreaker
from recallr_litellm.stores.embedding import Embedder, SparseEncoder
from recallr_litellm.stores.state.learning_queue import LearningClaim, LearningQueue
from recallr_litellm.stores.vectors import VectorStore
from recallr_litellm.tasks import end

_log = logging.getLogger(__name__)

AT_ONCE = 2
"""Users of whom this process learns at the same time."""
LEASE_SECONDS = 60.0
_MAX_ATTEMPTS = 8
_LONGEST_PAUSE = 600.0


class LeaseLost(Exception):
    """The user was forgotten, or another worker learns of it."""


class BudgetSpent(Unavailable):
    """The project has used its tokens of today."""

    reason = "agent"


class Learner:
    """Learns.

    Args:
        breakers: of all that it needs; it pauses while one of them is open.
        rules: those of a project.
        budget: tokens a day that a project may use; None: any number.
        interval: seconds between looks for users who are due.
        is_gone: whether a user, or a session of it, was forgotten.
        quiet: returns when no request is being served, or after a while: learning yields to requests.
    """

    def __init__(
        self,
        queue: LearningQueue,
        vectors: VectorStore,
        embedder: Embedder,
        sparse: SparseEncoder,
        write: WriteJson,
        *,
        breakers: Sequence[CircuitBreaker],
        state_breaker: CircuitBreaker,
        rules: Callable[[str], Rules],
        budget: Callable[[str], int | None],
        interval: float,
        quiet: Callable[[], Awaitable[None]],
        is_gone: IsGone,
    ) -> None:
        self._is_gone = is_gone
        self._queue = queue
        self._vectors = vectors
        self._embedder = embedder
        self._sparse = sparse
        self._write = write
        self._breakers = breakers
        self._state_breaker = state_breaker
        self._rules = rules
        self._budget = budget
        self._interval = interval
        self._quiet = quiet
        self._jobs: dict[asyncio.Task[None], LearningClaim] = {}

    async def run(self) -> None:
        """Work for ever; ends by cancellation. What it was at is due again when its lease has ended."""
        keeper = asyncio.create_task(self._keep_leases())
        try:
            while True:
                for claim in await self._claim():
                    task = asyncio.create_task(self._attempt(claim))
                    self._jobs[task] = claim
                    task.add_done_callback(lambda done: self._jobs.pop(done, None))
                if keeper.done():
                    keeper.result()
                await asyncio.sleep(self._interval)
        finally:
            await end([keeper, *self._jobs])
            await self._give_back()

    async def _give_back(self) -> None:
        claims, self._jobs = [*self._jobs.values()], {}
        try:
            for claim in claims:
                await self._queue.postpone(claim, 0, "the gateway stopped", counts=False)
        except StateUnavailable as error:
            _log.warning("Users stay leased for learning until their leases end: %s", error)

    async def _claim(self) -> list[LearningClaim]:
        room = AT_ONCE - len(self._jobs)
        if room <= 0 or not all(breaker.allows_requests for breaker in self._breakers):
            return []
        try:
            return await self._queue.claim(room, lease_seconds=LEASE_SECONDS)
        except StateUnavailable as error:
            self._state_breaker.trip(error)
            return []

    async def _attempt(self, claim: LearningClaim) -> None:
        """Learn all sessions of a user that wait. One user's fault does not stop the others."""
        session_id: str | None = None
        try:
            try:
                while True:
                    session_id = await self._queue.next_session(claim)
                    if session_id is not None:
                        if claim.attempts > _MAX_ATTEMPTS:
                            raise RuntimeError("the process ended in each attempt")  # noqa: TRY301 - as any other fault
                        try:
                            await self.learn(
                                claim.owner, session_id, still_wanted=lambda: self._queue.extend(claim, LEASE_SECONDS)
                            )
                        finally:
                            await undo_if_gone(self._is_gone, self._vectors, claim.owner, session_id)
                        LEARNING.labels("learned").inc()
                    if not await self._queue.done(claim, session_id):
                        return
            except StateUnavailable:
                raise
            except LeaseLost:
                return
            except Unavailable as error:  # not the session's fault: the attempt does not count
                await self._postpone(claim, _pause(error), str(error), counts=False)
            except Exception as error:  # noqa: BLE001 - counted, and tried again
                FAULTS.labels("learning").inc()
                _log.exception("Learning session %s failed (attempt %d)", session_id, claim.attempts)
                if claim.attempts < _MAX_ATTEMPTS:
                    await self._postpone(claim, 2.0**claim.attempts, type(error).__name__, counts=True)
                else:
                    LEARNING.labels("failed").inc()
                    await self._queue.set_failed(claim, type(error).__name__)
        except StateUnavailable as error:
            self._state_breaker.trip(error)  # due again when the lease has ended

    async def learn(
        self, owner: Owner, session_id: str, *, still_wanted: Callable[[], Awaitable[bool]] | None = None
    ) -> None:
        """Learn a processed session. Called again after any interruption, it goes on; once learned, it does nothing.

        Args:
            still_wanted: asked after each call of the model, which may take minutes; False: nothing is written any
                more, as the user was forgotten, or somebody else learns of it.

        Raises:
            LeaseLost: it is not wanted any more.
            Unavailable: the model, or a store, does not answer, or the budget is spent.
        """
        session = await self._vectors.get_session(owner, session_id)
        if session is None:
            return
        rules = self._rules(owner.project)
        user = await self._vectors.get_user(owner)
        if user is not None and user.merge_conflict_enabled is not None:
            rules = rules._replace(conflicts=user.merge_conflict_enabled)
        messages = await self._vectors.read_messages(owner, session_id)
        timezone = ZoneInfo(next((stored.timezone for stored in reversed(messages) if stored.timezone), "UTC"))

        async def write(
            messages: Sequence[dict[str, Any]], schema: dict[str, Any], *, name: str, max_tokens: int
        ) -> Written:
            await self._require_budget(owner.project)
            await self._quiet()
            written = await self._write(messages, schema, name=name, max_tokens=max_tokens)
            LEARNING_TOKENS.labels(name).inc(written.tokens)
            await self._queue.spend(owner.project, written.tokens)
            if still_wanted is not None and not await still_wanted():
                raise LeaseLost
            return written

        kept = await self._vectors.extractions(owner, session_id)
        extract = Extractor(write)
        async for extraction in extract(owner, session_id, messages, kept, timezone, rules):
            await self._vectors.keep_extraction(owner, extraction)
            kept.append(extraction)
        place = {stored.id: stored.position for stored in messages}
        kept.sort(key=lambda one: min((place.get(id, 0) for id in one.messages), default=0))
        knowing = Knowing(self._vectors, self._embedder, self._sparse)
        for extraction in kept:
            await Reconciliation(owner, extraction, knowing, write, timezone=timezone, rules=rules).run()
        await self._vectors.mark_learned(owner, session_id)

    async def _require_budget(self, project: str) -> None:
        budget = self._budget(project)
        if budget is not None and await self._queue.spend(project, 0) >= budget:
            raise BudgetSpent(f"project {project!r} has used its {budget} tokens of today")

    async def _postpone(self, claim: LearningClaim, delay_seconds: float, reason: str, *, counts: bool) -> None:
        await self._queue.postpone(claim, delay_seconds, reason, counts=counts)
        LEARNING.labels("postponed").inc()
        _log.info("Learning waits %.0f s: %s", delay_seconds, reason)

    async def _keep_leases(self) -> None:
        """Extend leases. A job whose lease is lost is given up: another worker learns of the user."""
        while True:
            await asyncio.sleep(LEASE_SECONDS / 3)
            for task, claim in [*self._jobs.items()]:
                try:
                    # Of one who is forgotten it goes on to the next look, and deletes what it has written.
                    if not await self._queue.extend(claim, LEASE_SECONDS) and not await self._is_gone(claim.owner):
                        task.cancel()
                except StateUnavailable as error:
                    self._state_breaker.trip(error)


def _pause(error: Unavailable) -> float:
    """Seconds until learning is tried again."""
    if isinstance(error, BudgetSpent):
        now = datetime.now(UTC)
        tomorrow = (now + timedelta(days=1)).replace(hour=0, minute=0, second=5, microsecond=0)
        return (tomorrow - now).total_seconds()
    if isinstance(error, ModelBusy) and error.retry_after is not None:
        return min(_LONGEST_PAUSE, error.retry_after) + random.uniform(0.1, 1.0)  # noqa: S311 - not a secret
    return random.uniform(5.0, 15.0)  # noqa: S311 - not a secret
