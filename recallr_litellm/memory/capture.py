"""Keeps finished exchanges: into Redis at once, or held in this process until Redis is back.

An exchange is written under its id, so writing it again (after a time-out of which nobody knows whether
it was done, or after its beginning was written when the client went away) changes nothing it should not.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from recallr_litellm.core.bounds import bounded, overflow
from recallr_litellm.core.chat_ids import answer_id
from recallr_litellm.core.chats import digest
from recallr_litellm.core.history import Plan, place, plan, shortened, to_shorten
from recallr_litellm.core.messages import Message, MessageEntry, StoredMessage
from recallr_litellm.core.owner import Owner
from recallr_litellm.errors import RecallrError, RequestError, StateUnavailable, Unavailable, UserForgotten
from recallr_litellm.memory.sessions import OpenedSession, SessionRequest, Sessions
from recallr_litellm.metrics import EXCHANGES, FAULTS, HELD
from recallr_litellm.stores.circuit_breaker import CircuitBreaker
from recallr_litellm.stores.state import CommitResult, StateStore

_log = logging.getLogger(__name__)

_MOST_HELD_BYTES = 64 * 1024 * 1024
"""Bound on the text of held exchanges: a thousand of them may be small talk, or a megabyte each."""

_REFUSED_SECONDS = 600.0
"""How long an exchange is tried again that fails by itself, not by an outage: time to repair a damaged key."""


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
    amends: bool = False
    """It was stored when its answer seemed to have ended, but that went on."""
    retried: bool = False
    """The client marked its request as a repetition."""
    answer_id: str | None = None
    """By which a later request may name this answer (`previous_response_id`)."""
    session: OpenedSession | None = None
    """The session as it was when the request came; None when it could not be opened then."""
    plan: Plan | None = None
    """What the request means for the session as it was, where that is known already."""


class _Contended(Exception):
    """Another exchange was stored into the session in between."""


@dataclass(slots=True)
class _Attempt:
    """What is known of the session while an exchange is being stored."""

    owner: Owner
    session_id: str
    version: int
    entries: tuple[MessageEntry, ...]
    replaceable: frozenset[str]
    plan: Plan | None
    """What the request means for it, where that is known."""


class Capture:
    """Stores exchanges.

    Args:
        breaker: of Redis; an outage found here trips it.
        capacity: exchanges held while it does not; the oldest is dropped for the newest.
    """

    def __init__(self, state: StateStore, sessions: Sessions, breaker: CircuitBreaker, *, capacity: int) -> None:
        self._state = state
        self._sessions = sessions
        self._breaker = breaker
        self._capacity = capacity
        self._held: deque[Exchange] = deque()
        self._flush = asyncio.Lock()
        self._taken: set[str] = set()
        """`Owner.name_key` of those whose held exchanges a flush has taken out of the queue."""
        self._held_bytes = 0
        self._refused: dict[str, float] = {}
        """Id of a held exchange that fails without an outage → when it first failed, on the event loop's clock."""

    @property
    def held(self) -> int:
        """Exchanges waiting in this process."""
        return len(self._held)

    async def store_or_hold(self, exchange: Exchange, *, within: float) -> bool:
        """Store an exchange, or hold it when that fails or takes longer than `within` seconds.

        Returns:
            True when it is in Redis.
        """
        if not self._breaker.allows_requests:
            self.hold(exchange)
            return False
        name = exchange.request.owner.name_key
        try:
            async with asyncio.timeout(within):
                if exchange.final and self._behind_held(name):  # a user's exchanges are stored in their order
                    await self.flush(only=name)
                    if self._behind_held(name):
                        self.hold(exchange)
                        return False
                await self._store(exchange)
        except StateUnavailable as error:
            self._breaker.trip(error)
            self.hold(exchange)
            return False
        except (Unavailable, TimeoutError, _Contended):
            self._breaker.suspect()
            self.hold(exchange)
            return False
        except RequestError as error:
            self._refuse(exchange, error)
            return False
        except Exception:  # noqa: BLE001 - of this exchange alone: `flush` tries it again and says what is wrong
            self.hold(exchange)
            return False
        except asyncio.CancelledError:
            self.hold(exchange)
            raise
        return True

    def hold(self, exchange: Exchange) -> None:
        """Keep an exchange in this process until Redis is back."""
        if not exchange.final:
            return  # its whole answer is still to come
        exchange = _light(exchange)
        if _size(exchange) > _MOST_HELD_BYTES // 8:
            self._drop(exchange, "it is too large to be held, and others' would have to go for it")
            return
        self._held.append(exchange)
        self._held_bytes += _size(exchange)
        EXCHANGES.labels("held").inc()
        if len(self._held) == 1:  # of an outage, the first
            _log.warning("Exchanges are held in memory until the state store answers, the first is %s", exchange.id)
        while len(self._held) > self._capacity or self._held_bytes > _MOST_HELD_BYTES:
            self._drop(self._take_first(), f"more than RECALLR_HELD_EXCHANGES={self._capacity} or 64 MB are waiting")
        HELD.set(len(self._held))

    async def flush(self, *, only: str | None = None) -> None:
        """Store what is held, of one user or of all, oldest first. What still cannot be stored stays held.

        Args:
            only: `Owner.name_key` of one user.

        Raises:
            StateUnavailable: Redis does not answer.
        """
        async with self._flush:
            stuck: list[Exchange] = []
            try:
                for _ in range(len(self._held)):
                    if not self._held:
                        break  # dropped meanwhile for newer ones
                    await self._flush_first(stuck, only)
            finally:
                for exchange in reversed(stuck):  # to the front again: a user's exchanges keep their order
                    self._put_back(exchange)
                self._taken.clear()
                HELD.set(len(self._held))

    async def _flush_first(self, stuck: list[Exchange], only: str | None) -> None:
        """Take the oldest out and store it, or put it with the stuck ones, as one behind a stuck one of its user."""
        exchange = self._take_first()
        name = exchange.request.owner.name_key
        if name in self._taken or only not in {None, name}:
            self._taken.add(name)
            stuck.append(exchange)
            return
        self._taken.add(name)
        try:
            await self._store(exchange)
        except RequestError as error:
            self._refuse(exchange, error)
        except (StateUnavailable, asyncio.CancelledError):
            stuck.append(exchange)
            raise
        except (Unavailable, _Contended):  # needs Qdrant, or luck: the others need not wait for that
            stuck.append(exchange)
            return
        except Exception as error:  # noqa: BLE001 - of this exchange alone, such as a damaged session: others go on
            if not self._refused_for_good(exchange, error):
                stuck.append(exchange)
                return
            self._drop(exchange, f"it could not be stored for {_REFUSED_SECONDS / 60:g} minutes")
        else:
            self._refused.pop(exchange.id, None)
        self._taken.discard(name)
        HELD.set(len(self._held) + len(stuck))

    def _refused_for_good(self, exchange: Exchange, error: Exception) -> bool:
        """Whether an exchange has failed for so long that it is given up."""
        now = asyncio.get_running_loop().time()
        if exchange.id not in self._refused:
            FAULTS.labels("capture").inc()
            reason = str(error) if isinstance(error, RecallrError) else type(error).__name__  # others may quote a text
            _log.error("Exchange %s cannot be stored and is tried again: %s", exchange.id, reason)
        return now - self._refused.setdefault(exchange.id, now) >= _REFUSED_SECONDS

    def _behind_held(self, name: str) -> bool:
        """An earlier exchange of this user is still held: what comes after it must not be stored before it."""
        return name in self._taken or any(held.request.owner.name_key == name for held in self._held)

    def _take_first(self) -> Exchange:
        exchange = self._held.popleft()
        self._held_bytes -= _size(exchange)
        return exchange

    def _put_back(self, exchange: Exchange) -> None:
        self._held.appendleft(exchange)
        self._held_bytes += _size(exchange)

    async def _store(self, exchange: Exchange) -> None:
        attempt = await self._begin(exchange)
        with suppress(_Contended):
            return await self._commit(exchange, attempt)
        async for retry in AsyncRetrying(
            retry=retry_if_exception_type(_Contended),
            wait=wait_random_exponential(multiplier=0.005, max=0.2),
            stop=stop_after_attempt(49),
            reraise=True,
        ):
            with retry:
                await self._reload(exchange, attempt)
                await self._commit(exchange, attempt)

    async def _begin(self, exchange: Exchange) -> _Attempt:
        """The session as the request saw it, or, when it saw none, as it is now."""
        session = exchange.session or await self._sessions.open(exchange.request, replay=True)
        replaceable = frozenset(entry.id for entry in session.entries)
        return _Attempt(session.owner, session.id, session.version, session.entries, replaceable, exchange.plan)

    async def _reload(self, exchange: Exchange, attempt: _Attempt) -> None:
        owner = attempt.owner
        index = await self._state.load_index(owner, attempt.session_id)
        if index is None:
            request = exchange.request
            await self._sessions.recreate(
                owner, attempt.session_id, at=request.at, timeout_seconds=request.timeout_seconds
            )
            index = await self._state.load_index(owner, attempt.session_id)
            if index is None:
                raise _Contended
        attempt.version, attempt.entries, attempt.plan = index.version, index.entries, None

    async def _commit(self, exchange: Exchange, attempt: _Attempt) -> None:
        """Plan against what is known of the session and write it if that is still so."""
        own = [entry for entry in attempt.entries if entry.exchange == exchange.id]
        others = [entry for entry in attempt.entries if entry.exchange != exchange.id]
        todo = attempt.plan or plan(others, exchange.incoming, retry=exchange.retried, replaceable=attempt.replaceable)
        last = max((entry.position for entry in others), default=-1)
        new, replies = _bounded(todo.new, _not_there_yet(exchange.replies, others, todo))
        messages = place(
            replace(todo, new=new),
            session_id=attempt.session_id,
            exchange=exchange.id,
            first_position=min((entry.position for entry in own), default=last + 1),
            replies=replies,
            asked_at=exchange.request.at,
            answered_at=exchange.answered_at,
            timezone=exchange.request.timezone,
            partial=exchange.partial,
        )
        written = [message.entry for message in messages]
        kept = [entry for entry in others if entry.id not in todo.replaced]
        result = await self._state.commit(
            attempt.owner,
            attempt.session_id,
            exchange=exchange.id,
            expected_version=attempt.version,
            add=(*messages, *(await self._shortened(exchange, attempt, todo) if exchange.final else ())),
            drop=todo.replaced | ({entry.id for entry in own} - {entry.id for entry in written}),
            final=exchange.final,
            amends=exchange.amends,
            answer=digest(answer_id(exchange.answer_id)) if exchange.answer_id else None,
            move=[entry.id for entry in overflow([*kept, *written])] if exchange.final else [],
        )
        if result in {CommitResult.CONFLICT, CommitResult.GONE}:
            raise _Contended
        if result is CommitResult.STORED and exchange.final and not exchange.amends:
            EXCHANGES.labels("partial" if exchange.partial else "stored").inc()

    async def _shortened(self, exchange: Exchange, attempt: _Attempt, todo: Plan) -> list[StoredMessage]:
        """Stored messages without the text that the client had put around the user's words for the model."""
        sent = to_shorten(todo)
        if not sent:
            return []
        stored = await self._state.whole(attempt.owner, attempt.session_id, list(sent))
        return [short for message in stored if (short := shortened(message, sent[message.id])) is not None]

    def _refuse(self, exchange: Exchange, error: RequestError) -> None:
        """Drop an exchange that has no place in memory."""
        if isinstance(error, UserForgotten):
            self._refused.pop(exchange.id, None)
            EXCHANGES.labels("forgotten").inc()
        else:
            self._drop(exchange, str(error))

    def _drop(self, exchange: Exchange, why: str) -> None:
        self._refused.pop(exchange.id, None)
        EXCHANGES.labels("dropped").inc()
        _log.error("Exchange %s is lost: %s", exchange.id, why)


def _bounded(new: Sequence[Message], replies: Sequence[Message]) -> tuple[tuple[Message, ...], tuple[Message, ...]]:
    kept = bounded((*new, *replies))
    first_reply = len(kept) - len(replies)
    return kept[:first_reply], kept[first_reply:]


def _not_there_yet(replies: Sequence[Message], stored: Sequence[MessageEntry], todo: Plan) -> tuple[Message, ...]:
    """Without replies that a later exchange has brought along in its history: that one was stored first."""
    if todo.new:
        return tuple(replies)
    there = {entry.fingerprint for entry in stored if entry.parent == todo.parent and entry.id not in todo.replaced}
    return tuple(reply for reply in replies if reply.fingerprint not in there)


def _size(exchange: Exchange) -> int:
    """About how much memory it keeps, in bytes."""
    return sum(
        4 * (len(message.text) + sum(len(call.arguments) for call in message.tool_calls))
        for message in (*exchange.incoming, *exchange.replies)
    )


def _light(exchange: Exchange) -> Exchange:
    """Without what is not kept of its messages, and without the session's index, which is read again when the exchange
    is stored: no version is negative."""
    light = replace(exchange, incoming=bounded(exchange.incoming), replies=bounded(exchange.replies), plan=None)
    if exchange.session is None:
        return light
    return replace(light, session=replace(exchange.session, version=-1, entries=()))


def beginning_of(exchange: Exchange) -> Exchange:
    """The same exchange as something that may still be continued."""
    return replace(exchange, partial=True, final=False, amends=False)
