"""Turns sessions that have been quiet for their timeout into memory, in the background.

At least once, with ids that depend only on what is stored: doing it twice, or dying anywhere in it,
gives the same memory. A session leaves Redis only after all of it is in Qdrant.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Sequence

import numpy as np

from recallr_litellm.core.messages import StoredMessage
from recallr_litellm.core.passages import split
from recallr_litellm.core.records import Passage, Session, Turn, User
from recallr_litellm.errors import StateUnavailable, Unavailable, VectorsUnavailable
from recallr_litellm.memory.summarise import summarise
from recallr_litellm.metrics import FAULTS, PROCESSING, SESSIONS
from recallr_litellm.stores.circuit_breaker import CircuitBreaker
from recallr_litellm.stores.embedding import Embedder, SparseEncoder
from recallr_litellm.stores.embedding.passages import embed_passages
from recallr_litellm.stores.state import Claim, StateStore
from recallr_litellm.stores.vectors import VectorStore
from recallr_litellm.tasks import end

_log = logging.getLogger(__name__)

_CLAIMS_AT_ONCE = 8


class Processor:
    """Claims due sessions and makes memory of them.

    Args:
        interval: seconds between looks for due sessions.
        lease_seconds: how long a claim lasts without a sign of life.
        max_attempts: failures after which a session is set aside.
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
        interval: float,
        lease_seconds: float,
        max_attempts: int,
    ) -> None:
        self._state = state
        self._vectors = vectors
        self._embedder = embedder
        self._sparse = sparse
        self._state_breaker = state_breaker
        self._vectors_breaker = vectors_breaker
        self._interval = interval
        self._lease_seconds = lease_seconds
        self._max_attempts = max_attempts

    async def run(self) -> None:
        """Work for ever. Ends only by cancellation; a session cut off by it is taken up again after its lease."""
        while True:
            worked = False
            if self._state_breaker.allows_requests and self._vectors_breaker.allows_requests:
                try:
                    claims = await self._state.claim(
                        _CLAIMS_AT_ONCE, lease_seconds=self._lease_seconds, into=self._vectors.collection
                    )
                    if claims:
                        await self.process(claims)
                        worked = True
                except StateUnavailable as error:
                    # What was claimed is taken up again when its lease has run out.
                    self._state_breaker.trip(error)
            if not worked:
                await asyncio.sleep(self._interval)

    async def process(self, claims: Sequence[Claim]) -> None:
        """Make memory of sessions and take them out of Redis.

        Raises:
            StateUnavailable: Redis does not answer; nothing is lost, the sessions are still in it.
        """
        attempts = [asyncio.create_task(self._attempt(claim)) for claim in claims]
        keeper = asyncio.create_task(self._keep_leases(claims, attempts))
        try:
            with PROCESSING.time():
                done = await asyncio.gather(*attempts, return_exceptions=True)
            await self._let_go([claim for claim, remembered in zip(claims, done, strict=True) if remembered is True])
        finally:
            for attempt in attempts:
                attempt.cancel()
            await end([keeper])
        for outcome in done:
            if isinstance(outcome, StateUnavailable):
                raise outcome

    async def _attempt(self, claim: Claim) -> bool:
        """Whether the session is in Qdrant now. One session's fault does not stop the others."""
        try:
            await self._remember(claim)
        except Unavailable as error:  # an outage is not the session's fault: the attempt does not count
            if isinstance(error, VectorsUnavailable):
                self._vectors_breaker.trip(error)
            await self._state.postpone(claim, _after_outage(), str(error), counts=False)
            SESSIONS.labels("postponed").inc()
        except Exception as error:  # noqa: BLE001 - counted, and tried again
            FAULTS.labels("processing").inc()
            _log.exception("Processing session %s failed (attempt %d)", claim.session_id, claim.attempts)
            if claim.attempts < self._max_attempts:
                await self._state.postpone(claim, _backoff(claim.attempts), type(error).__name__, counts=True)
                SESSIONS.labels("postponed").inc()
            else:
                SESSIONS.labels("failed").inc()
                await self._state.set_failed(claim, type(error).__name__)
        else:
            return True
        return False

    async def _let_go(self, claims: Sequence[Claim]) -> None:
        """Take sessions out of Redis once they would survive a power cut in Qdrant.

        One flush for all of them: the embedded engine holds the interpreter's lock while it flushes.
        """
        if not claims:
            return
        try:
            await self._vectors.flush()
        except VectorsUnavailable as error:
            self._vectors_breaker.trip(error)
            return  # taken up again when their leases have run out
        for claim in claims:
            if await self._state.finish(claim):
                SESSIONS.labels("processed").inc()

    async def _keep_leases(self, claims: Sequence[Claim], attempts: Sequence[asyncio.Task[bool]]) -> None:
        """Extend the leases while the attempts run. An attempt whose lease is lost is given up: its user has come
        back, or another worker has the session, and what is written last would be the older of the two."""
        while True:
            await asyncio.sleep(self._lease_seconds / 3)
            for claim, attempt in zip(claims, attempts, strict=True):
                try:
                    if not attempt.done() and not await self._state.extend(claim, self._lease_seconds):
                        attempt.cancel()
                except StateUnavailable as error:
                    self._state_breaker.trip(error)

    async def _remember(self, claim: Claim) -> None:
        owner, snapshot = claim.owner, claim.snapshot
        messages = sorted(snapshot.messages, key=lambda stored: stored.position)
        texts = await asyncio.to_thread(_split, messages)
        passages = await self._embed([text for of_message in texts for text in of_message])
        turns = _deal_out(messages, texts, passages)
        summary = await self._summary(turns)
        if await self._vectors.get_user(owner) is None:  # created while Qdrant was away
            user = User(project=owner.project, user=owner.user, created_at=snapshot.created_at)
            await self._vectors.put_user(owner, user)
        session = Session(
            id=claim.session_id,
            created_at=snapshot.created_at,
            last_at=snapshot.last_at,
            timeout_seconds=snapshot.timeout_seconds,
            message_count=len(messages),
            summary=summary.text if summary else "",
        )
        if await self._state.extend(claim, self._lease_seconds):
            await self._vectors.save_session(owner, session, turns, summary)

    async def _summary(self, turns: list[Turn]) -> Passage | None:
        said = [(turn.stored.message.role, passage) for turn in turns for passage in turn.passages]
        if not said:
            return None
        vectors = np.stack([passage.dense for _, passage in said])
        text = await asyncio.to_thread(summarise, [(role, passage.text) for role, passage in said], vectors)
        if not text:
            return None
        [summary] = await self._embed([text])
        return summary

    async def _embed(self, texts: list[str]) -> list[Passage]:
        return await embed_passages(self._embedder, self._sparse, texts)


def _split(messages: list[StoredMessage]) -> list[list[str]]:
    """Passages of each message. What tools returned is kept but not searched."""
    return [split(stored.message.text) if stored.message.role != "tool" else [] for stored in messages]


def _deal_out(messages: list[StoredMessage], texts: list[list[str]], passages: list[Passage]) -> list[Turn]:
    """Give each message the passages made of its text."""
    turns: list[Turn] = []
    begin = 0
    for stored, of_message in zip(messages, texts, strict=True):
        end = begin + len(of_message)
        turns.append(Turn(stored, tuple(passages[begin:end])))
        begin = end
    return turns


def _after_outage() -> float:
    """Seconds until a session is tried again that failed through no fault of its own."""
    return random.uniform(2.0, 6.0)  # noqa: S311 - not a secret


def _backoff(attempts: int) -> float:
    """Seconds until the next attempt: doubling to ten minutes, spread so that sessions do not come back together."""
    return min(600.0, 2.0**attempts) * random.uniform(0.5, 1.0)  # noqa: S311 - not a secret
