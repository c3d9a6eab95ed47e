"""Learning in the background: takes users from the queue and learns their sessions, one at a time, in order of time."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from recallr_litellm.core.owner import Owner
from recallr_litellm.errors import ModelSlow, ModelUnavailable, StateUnavailable, Unavailable
from recallr_litellm.learning.extracting import Extractor, Rules
from recallr_litellm.learning.forgetting import forget_session
from recallr_litellm.learning.knowing import Knowing
from recallr_litellm.learning.model import WriteJson, Written
from recallr_litellm.learning.model_pause import LONGEST_SECONDS, ModelPause
from recallr_litellm.learning.reconciling import OnConflict, Reconciliation
from recallr_litellm.memory.budget import BudgetSpent, TokenBudget
from recallr_litellm.memory.gone import undo_if_gone
from recallr_litellm.metrics import FAULTS, LEARNING, LEARNING_CALLS, LEARNING_TOKENS
from recallr_litellm.stores.circuit_breaker import CircuitBreaker
from recallr_litellm.stores.state.learning_queue import LearningClaim, LearningQueue, Waiting
from recallr_litellm.tasks import end, give_way

_log = logging.getLogger(__name__)

AT_ONCE = 2
"""Users of whom this process learns at the same time."""
_MAX_ATTEMPTS = 8


class LeaseLost(Exception):
    """The user was forgotten, or another worker learns of it."""


class Learner:
    """Learns.

    Args:
        breakers: of all that it needs; it pauses while one of them is open.
        rules: those of a project.
        budget: of the model; past it sessions wait.
        interval: seconds between looks for users who are due.
        lease_seconds: how long a claim lasts without a sign of life.
        on_conflict: told of each conflict that is raised, perhaps twice.
    """

    def __init__(
        self,
        queue: LearningQueue,
        knowing: Knowing,
        write: WriteJson,
        *,
        breakers: Sequence[CircuitBreaker],
        state_breaker: CircuitBreaker,
        rules: Callable[[str], Rules],
        budget: TokenBudget,
        interval: float,
        lease_seconds: float,
        on_conflict: OnConflict | None = None,
    ) -> None:
        self._queue = queue
        self._knowing = knowing
        self._vectors = knowing.vectors
        self._is_gone = knowing.state.is_gone
        self._on_conflict = on_conflict
        self._write = write
        self._breakers = breakers
        self._state_breaker = state_breaker
        self._rules = rules
        self._budget = budget
        self._interval = interval
        self._lease_seconds = lease_seconds
        self._pause = ModelPause()
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
        if room <= 0 or self._pause.seconds_left or not all(breaker.allows_requests for breaker in self._breakers):
            return []
        try:
            return await self._queue.claim(room, lease_seconds=self._lease_seconds)
        except StateUnavailable as error:
            self._state_breaker.trip(error)
            return []

    async def _attempt(self, claim: LearningClaim) -> None:
        """Learn all sessions of a user that wait. One user's fault does not stop the others."""
        waiting: Waiting | None = None
        try:
            try:
                while True:
                    waiting = await self._queue.next_session(claim)
                    if waiting is not None:
                        if claim.attempts > _MAX_ATTEMPTS:
                            await self._set_aside(claim, waiting, "the process ended in each attempt")
                            return
                        await self._learn_leased(claim, waiting.session_id)
                    if not await self._queue.done(claim, waiting):
                        return
                    claim = replace(claim, attempts=1)  # the next session begins anew
            except StateUnavailable:
                raise
            except LeaseLost:
                return
            except ModelSlow as error:  # perhaps with any model that has this text: it counts
                await self._try_again(claim, waiting, str(error))
            except Unavailable as error:  # not the session's fault: the attempt does not count
                await self._postpone(claim, self._until_again(error), str(error), counts=False)
            except Exception as error:  # noqa: BLE001 - counted, and tried again
                FAULTS.labels("learning").inc()
                session_id = waiting.session_id if waiting is not None else ""
                _log.exception("Learning session %s failed (attempt %d)", session_id, claim.attempts)
                await self._try_again(claim, waiting, type(error).__name__)
        except StateUnavailable as error:
            self._state_breaker.trip(error)  # due again when the lease has ended

    async def _learn_leased(self, claim: LearningClaim, session_id: str) -> None:
        try:
            await self.learn(
                claim.owner, session_id, still_wanted=lambda: self._queue.extend(claim, self._lease_seconds)
            )
        finally:
            if await undo_if_gone(self._is_gone, self._vectors, claim.owner, session_id):
                await forget_session(self._knowing, claim.owner, session_id)
        LEARNING.labels("learned").inc()

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
        begun, calls, tokens = time.monotonic(), 0, 0
        timezone = ZoneInfo(next((stored.timezone for stored in reversed(messages) if stored.timezone), "UTC"))

        async def write(
            messages: Sequence[dict[str, Any]], schema: dict[str, Any], *, name: str, max_tokens: int
        ) -> Written:
            nonlocal calls, tokens
            await self._budget.require(owner.project)
            await give_way()
            LEARNING_CALLS.labels(name).inc()
            calls += 1
            written = await self._write(messages, schema, name=name, max_tokens=max_tokens)
            self._pause.worked()
            LEARNING_TOKENS.labels(name).inc(written.tokens)
            tokens += written.tokens
            await self._budget.spend(owner.project, written.tokens)
            if still_wanted is not None and not await still_wanted():
                raise LeaseLost
            return written

        kept = await self._vectors.extractions(owner, session_id)
        extract, known = Extractor(write), len(kept)
        async for extraction in extract(owner, session_id, messages, kept, timezone, rules):
            await self._vectors.keep_extraction(owner, extraction)
            kept.append(extraction)
        new = kept[known:]
        place = {stored.id: stored.position for stored in messages}
        kept.sort(key=lambda one: min((place.get(id, 0) for id in one.messages), default=0))
        unread = sum(len(one.messages) for one in new if one.unread)
        if unread:
            LEARNING.labels("unread").inc()
            _log.warning(
                "Of session %s, %d messages are in passages only: the model gave nothing that can be read",
                session_id,
                unread,
            )
        outcomes = sum((Counter(one.rejected) for one in new), Counter[str]())
        for extraction in kept:
            if not extraction.reconciled:
                reconciliation = Reconciliation(
                    owner,
                    extraction,
                    self._knowing,
                    write,
                    timezone=timezone,
                    rules=rules,
                    on_conflict=self._on_conflict,
                )
                await reconciliation.run()
                outcomes += reconciliation.outcomes
        await self._vectors.mark_learned(owner, session_id)
        _log.info(
            "Session %s of project %s learned in %.1f s: %d facts, %d calls, %d tokens; %s",
            *(session_id, owner.project, time.monotonic() - begun),
            *(sum(len(one.facts) for one in new), calls, tokens),
            ", ".join(f"{number} {outcome}" for outcome, number in sorted(outcomes.items())) or "nothing new",
        )

    def _until_again(self, error: Unavailable) -> float:
        """Seconds until a user is tried again after what is nobody's fault."""
        if isinstance(error, ModelUnavailable):
            return self._pause.failed(error) + random.uniform(0.1, 1.0)  # noqa: S311 - not a secret
        if isinstance(error, BudgetSpent):  # until midnight, or until somebody raises the budget
            now = datetime.now(UTC)
            tomorrow = (now + timedelta(days=1)).replace(hour=0, minute=0, second=5, microsecond=0)
            return min(LONGEST_SECONDS, (tomorrow - now).total_seconds())
        return random.uniform(5.0, 15.0)  # noqa: S311 - not a secret

    async def _try_again(self, claim: LearningClaim, waiting: Waiting | None, reason: str) -> None:
        """Postpone what failed by a fault of its own; set it aside after the last attempt."""
        if claim.attempts < _MAX_ATTEMPTS:
            await self._postpone(claim, 2.0**claim.attempts, reason, counts=True)
        else:
            await self._set_aside(claim, waiting, reason)

    async def _set_aside(self, claim: LearningClaim, waiting: Waiting | None, reason: str) -> None:
        await self._queue.set_failed(claim, reason)
        LEARNING.labels("failed").inc()
        session_id = waiting.session_id if waiting is not None else ""
        _log.error("Learning of a user is set aside at session %s: %s. `recallr learn` goes on", session_id, reason)

    async def _postpone(self, claim: LearningClaim, delay_seconds: float, reason: str, *, counts: bool) -> None:
        await self._queue.postpone(claim, delay_seconds, reason, counts=counts)
        LEARNING.labels("postponed").inc()
        _log.info("Learning waits %.0f s: %s", delay_seconds, reason)

    async def _keep_leases(self) -> None:
        """Extend leases. A job whose lease is lost is given up: another worker learns of the user."""
        while True:
            await asyncio.sleep(self._lease_seconds / 3)
            for task, claim in [*self._jobs.items()]:
                try:
                    # Of one who is forgotten it goes on to the next look, and deletes what it has written.
                    if not await self._queue.extend(claim, self._lease_seconds) and not await self._is_gone(
                        claim.owner
                    ):
                        task.cancel()
                except StateUnavailable as error:
                    self._state_breaker.trip(error)
