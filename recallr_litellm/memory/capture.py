"""Keeps finished exchanges: into Redis at once, or held in this process until Redis is back.

An exchange is written under its id, so writing it again (after a time-out of which nobody knows whether
it was done, or after its beginning was written when the client went away) changes nothing it should not.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from dataclasses import dataclass, field, replace

from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from recallr_litellm.core.history import place, plan
from recallr_litellm.core.messages import Message, StoredMessage
from recallr_litellm.errors import RequestError, StateUnavailable, Unavailable
from recallr_litellm.memory.sessions import OpenedSession, SessionRequest, Sessions
from recallr_litellm.metrics import EXCHANGES, HELD
from recallr_litellm.stores.gate import Gate
from recallr_litellm.stores.state import CommitResult, StateStore

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request and what the model answered."""

    id: str
    """The request id."""
    request: SessionRequest
    incoming: tuple[Message, ...]
    """The request's messages as the client sent them: nothing of what the plugin injected."""
    replies: tuple[Message, ...]
    answered_at: int
    partial: bool
    """The client saw only this much of the answer."""
    final: bool = True
    """False for the beginning of an answer that is still coming in."""
    retried: bool = False
    """The client marked its request as a repetition."""
    session: OpenedSession | None = None
    """The session as it was when the request came; None when it could not be opened then."""


class _Contended(Exception):
    """Another exchange was stored into the session in between."""


@dataclass(slots=True)
class _Attempt:
    """What is known of the session while an exchange is being stored."""

    session_id: str
    version: int
    messages: tuple[StoredMessage, ...]
    replaceable: frozenset[str] = field(default_factory=frozenset)


class Capture:
    """Stores exchanges.

    Args:
        gate: tells whether Redis answers; closed by a failure here.
        capacity: exchanges held while it does not; the oldest is dropped for the newest.
    """

    def __init__(self, state: StateStore, sessions: Sessions, gate: Gate, *, capacity: int) -> None:
        self._state = state
        self._sessions = sessions
        self._gate = gate
        self._capacity = capacity
        self._held: deque[Exchange] = deque()

    @property
    def held(self) -> int:
        """Exchanges waiting in this process."""
        return len(self._held)

    async def store_or_hold(self, exchange: Exchange, *, within: float) -> bool:
        """Store an exchange, or hold it when that fails or takes longer than `within` seconds.

        Returns:
            True when it is in Redis.
        """
        if not self._gate.is_open:
            self.hold(exchange)
            return False
        try:
            async with asyncio.timeout(within):
                await self._store(exchange)
        except (Unavailable, TimeoutError, _Contended) as error:
            if isinstance(error, StateUnavailable | TimeoutError):
                self._gate.close(error)
            self.hold(exchange)
            return False
        except RequestError as error:
            self._drop(exchange, str(error))
            return False
        except asyncio.CancelledError:
            self.hold(exchange)
            raise
        return True

    def hold(self, exchange: Exchange) -> None:
        """Keep an exchange in this process until Redis is back."""
        if not exchange.final:
            return  # its whole answer is still to come
        if self._capacity == 0:
            self._drop(exchange, "RECALLR_HELD_EXCHANGES is 0")
            return
        if len(self._held) >= self._capacity:
            self._drop(self._held.popleft(), f"more than RECALLR_HELD_EXCHANGES={self._capacity} are waiting")
        self._held.append(exchange)
        HELD.set(len(self._held))
        EXCHANGES.labels("held").inc()
        _log.warning("Exchange %s is held in memory until the state store answers", exchange.id)

    async def flush(self) -> None:
        """Store what is held, oldest first, until all is stored or the store fails.

        Raises:
            Unavailable: the store still does not answer; what is left stays held.
        """
        while self._held:
            exchange = self._held[0]
            try:
                await self._store(exchange)
            except RequestError as error:
                self._drop(exchange, str(error))
            except _Contended:
                self._held.rotate(-1)
                return
            # The queue may have overflowed meanwhile and lost this one from its head.
            if self._held and self._held[0] is exchange:
                self._held.popleft()
            HELD.set(len(self._held))

    async def _store(self, exchange: Exchange) -> None:
        attempt = await self._begin(exchange)
        async for retry in AsyncRetrying(
            retry=retry_if_exception_type(_Contended),
            wait=wait_random_exponential(multiplier=0.005, max=0.2),
            stop=stop_after_attempt(50),
            reraise=True,
        ):
            with retry:
                if retry.retry_state.attempt_number > 1:
                    await self._reload(exchange, attempt)
                await self._commit(exchange, attempt)

    async def _begin(self, exchange: Exchange) -> _Attempt:
        """The session as the request saw it, or, when it saw none, as it is now."""
        session = exchange.session or await self._sessions.open(exchange.request, replay=True)
        ids = frozenset(message.id for message in session.messages)
        return _Attempt(session.id, session.version, session.messages, ids)

    async def _reload(self, exchange: Exchange, attempt: _Attempt) -> None:
        owner = exchange.request.owner
        snapshot = await self._state.load(owner, attempt.session_id)
        if snapshot is None:
            request = exchange.request
            await self._sessions.recreate(
                owner, attempt.session_id, at=request.at, timeout_seconds=request.timeout_seconds
            )
            snapshot = await self._state.load(owner, attempt.session_id)
            if snapshot is None:
                raise _Contended
        attempt.version, attempt.messages = snapshot.version, snapshot.messages

    async def _commit(self, exchange: Exchange, attempt: _Attempt) -> None:
        """Plan against what is known of the session and write it if that is still so."""
        own = [message for message in attempt.messages if message.exchange == exchange.id]
        others = [message for message in attempt.messages if message.exchange != exchange.id]
        todo = plan(others, exchange.incoming, retry=exchange.retried, replaceable=attempt.replaceable)
        last = max((message.position for message in others), default=-1)
        messages = place(
            todo,
            session_id=attempt.session_id,
            exchange=exchange.id,
            first_position=min((message.position for message in own), default=last + 1),
            replies=exchange.replies,
            asked_at=exchange.request.at,
            answered_at=exchange.answered_at,
            partial=exchange.partial,
        )
        result = await self._state.commit(
            exchange.request.owner,
            attempt.session_id,
            exchange=exchange.id,
            expected_version=attempt.version,
            add=messages,
            drop=todo.replaced | ({message.id for message in own} - {message.id for message in messages}),
            final=exchange.final,
        )
        if result in {CommitResult.CONFLICT, CommitResult.GONE}:
            raise _Contended
        if result is CommitResult.STORED:
            EXCHANGES.labels("partial" if exchange.partial else "stored").inc()

    def _drop(self, exchange: Exchange, why: str) -> None:
        EXCHANGES.labels("dropped").inc()
        _log.error("Exchange %s is lost: %s", exchange.id, why)


def beginning_of(exchange: Exchange) -> Exchange:
    """The same exchange as something that may still be continued."""
    return replace(exchange, partial=True, final=False)
