"""Sessions by the API. They are those of chats: what one makes, the other continues."""

from __future__ import annotations

import asyncio
import hashlib
import json
import random
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Literal

from pydantic import JsonValue

from recallr_litellm.core.bounds import SESSION_MESSAGES, bounded, overflow
from recallr_litellm.core.history import Plan, place
from recallr_litellm.core.messages import Message, StoredMessage, utf8_bytes
from recallr_litellm.core.owner import Owner
from recallr_litellm.core.records import Session
from recallr_litellm.errors import InvalidValue, SessionNotFound, SessionNotPending, StateUnavailable
from recallr_litellm.stores.state import CommitResult, EndResult, SessionState, StateStore
from recallr_litellm.stores.vectors import VectorStore

_ATTEMPTS: Final = 50
_LARGE: Final = 16_000
"""Bytes of a message after which a session is looked at whether it has passed its bound."""
_SECOND: Final = 1000
_CLOCKS_APART: Final = 60 * _SECOND
"""By how much a client's clock may be ahead."""


class SessionStatus(StrEnum):
    """How far a session has come. The names are the contract's."""

    PENDING = "pending"
    PROCESSING = "processing"
    PROCESSED = "processed"
    FAILED = "failed"
    INSUFFICIENT_BALANCE = "insufficient_balance"
    """Never of a session of ours; it may be asked for."""


@dataclass(frozen=True, slots=True)
class SessionInfo:
    """A session without what it holds. Times in milliseconds since the epoch, UTC."""

    id: str
    status: SessionStatus
    created_at: int
    last_at: int
    """When it was last used."""
    message_count: int
    """With what tools returned."""
    metadata: Mapping[str, JsonValue]
    summary: str = ""
    """Of a processed one; "" where nothing in it could be summarised."""


@dataclass(frozen=True, slots=True)
class SessionMessage:
    """A message and the session that it is of."""

    session: str
    stored: StoredMessage


class SessionService:
    """Makes, finds, fills and ends sessions. Each function is for the sessions of one owner, and to it all others are
    unknown: `SessionNotFound`.

    Args:
        heard_of: told of each user who makes or fills a session.
    """

    def __init__(
        self,
        state: StateStore,
        vectors: VectorStore,
        *,
        min_timeout_seconds: int,
        heard_of: Callable[[Owner], None] = lambda _: None,
    ) -> None:
        self._state = state
        self._heard_of = heard_of
        self._vectors = vectors
        self.min_timeout_seconds = min_timeout_seconds
        """Fewest quiet seconds after which a session may become memory."""

    async def create(
        self,
        owner: Owner,
        *,
        timeout_seconds: int,
        metadata: Mapping[str, JsonValue],
        created_at: int | None = None,
        key: str | None = None,
    ) -> SessionInfo:
        """Make a session.

        Args:
            created_at: when it began, if that is in the past: what is said in it was said then.
            key: a request that bears the same one, and asks for the same, within a day gets the same session.

        Raises:
            InvalidValue: the timeout is too short, or the beginning is still to come.
        """
        if timeout_seconds < self.min_timeout_seconds:
            raise InvalidValue(f"auto_process_after_seconds: must be {self.min_timeout_seconds} or more")
        if created_at is not None and not 0 <= created_at <= _now() + _CLOCKS_APART:
            raise InvalidValue("custom_created_at_utc: must be in the past, not before 1970")
        asked = json.dumps([key, timeout_seconds, metadata, created_at], sort_keys=True)
        id = _digest(owner.key, "session", asked) if key else secrets.token_hex(16)
        if key and (known := await self._find(owner, id)) is not None:
            return known
        self._heard_of(owner)
        await self._state.create(owner, id, timeout_seconds=timeout_seconds, metadata=metadata, created_at=created_at)
        return await self.get(owner, id)

    async def ids_with(self, owner: Owner, metadata: Mapping[str, JsonValue]) -> list[str]:
        """Ids of all sessions whose metadata has all of these values."""
        states = await self._state.look(owner, await self._state.open_sessions(owner))
        processed = await self._vectors.newest_sessions(owner, exclude=list(states))
        both: list[SessionState | Session] = [*states.values(), *processed]
        return [session.id for session in both if has_metadata(session.metadata, metadata)]

    async def get(self, owner: Owner, session_id: str) -> SessionInfo:
        """One session.

        Raises:
            SessionNotFound: the owner has none of this id.
        """
        found = await self._find(owner, session_id)
        if found is None:
            raise _unknown(session_id)
        return found

    async def page(
        self,
        owner: Owner,
        *,
        offset: int,
        limit: int,
        metadata: Mapping[str, JsonValue] | None = None,
        statuses: Sequence[SessionStatus] = (),
    ) -> tuple[list[SessionInfo], int]:
        """Some of the sessions, first those not yet processed, the last used first; and how many there are in all.

        Args:
            metadata: only sessions that have these values.
            statuses: only sessions of these; empty for any.
        """
        fits = _fitting(metadata or {}, statuses)
        open_ids = await self._state.open_sessions(owner)
        states = await self._state.look(owner, open_ids)
        found = list(filter(fits, map(_of_state, states.values())))
        if statuses and SessionStatus.PROCESSED not in statuses:
            return found[offset : offset + limit], len(found)
        if metadata:
            processed = await self._vectors.newest_sessions(owner, exclude=list(states))
            found += filter(fits, map(_of_record, processed))
            return found[offset : offset + limit], len(found)
        total = len(found) + await self._vectors.count_sessions(owner, exclude=list(states))
        shown, skip = found[offset : offset + limit], max(0, offset - len(found))
        if len(shown) < limit and len(found) + skip < total:
            wanted = limit - len(shown)
            processed = await self._vectors.newest_sessions(owner, wanted, offset=skip, exclude=list(states))
            shown += map(_of_record, processed)
        return shown, total

    async def update(self, owner: Owner, session_id: str, metadata: Mapping[str, JsonValue] | None) -> SessionInfo:
        """Replace what is noted about a session; None leaves it.

        Raises:
            SessionNotFound: the owner has none of this id.
        """
        if metadata is not None:
            known = await self._state.describe(owner, session_id, metadata)
            record = await self._vectors.get_session(owner, session_id)
            if record is not None:
                await self._vectors.describe_session(owner, record.model_copy(update={"metadata": dict(metadata)}))
            elif not known:
                raise _unknown(session_id)
        return await self.get(owner, session_id)

    async def add_message(
        self, owner: Owner, session_id: str, role: Literal["user", "assistant"], text: str, *, key: str | None = None
    ) -> str:
        """Write a message at the end of a session.

        Args:
            key: the same message with the same key is written once within a day, however often and at once it comes.

        Returns:
            Id of the message.

        Raises:
            SessionNotFound: the owner has none of this id.
            SessionNotPending: it is processed, or is being processed.
            StateUnavailable: Redis does not answer, or too many write to the session at once.
        """
        exchange = _digest(session_id, "message", key, role, text) if key else secrets.token_hex(16)
        self._heard_of(owner)
        for _ in range(_ATTEMPTS):
            state = (await self._state.look(owner, [session_id])).get(session_id)
            if state is None or state.processing or state.failed:
                if key and await self._state.stored(owner, exchange):
                    return place_one(session_id, exchange, 0, None, 0, Message(role=role, text=text)).id
                raise await self._refusal(owner, session_id, "add a message to")
            [message] = bounded([Message(role=role, text=text)])
            parent, last = state.last_message or (None, -1)
            # What is said to have been in the past is a second apart, so that it has an order there too.
            at = state.created_at + (last + 1) * _SECOND if state.dated else _now()
            stored = place_one(session_id, exchange, last + 1, parent, at, message)
            result = await self._state.commit(
                owner,
                session_id,
                exchange=exchange,
                expected_version=state.version,
                add=[stored],
                drop=(),
                final=True,
                move=await self._overflow(owner, state, stored),
            )
            if result in {CommitResult.STORED, CommitResult.DUPLICATE}:
                return stored.id
            await asyncio.sleep(random.uniform(0, 0.05))  # noqa: S311 - not a secret
        raise StateUnavailable(f"Session {session_id} is written to by too many at once")

    async def messages(
        self, owner: Owner, session_id: str, *, offset: int, limit: int
    ) -> tuple[Sequence[StoredMessage], int]:
        """Some of what was said in a session, in order, and how many messages that is in all. What tools returned is
        not among it.

        Raises:
            SessionNotFound: the owner has none of this id.
        """
        index = await self._state.load_index(owner, session_id)
        if index is not None:
            said = [entry.id for entry in index.entries if entry.role != "tool"]
            return await self._state.whole(owner, session_id, said[offset : offset + limit]), len(said)
        if await self._vectors.get_session(owner, session_id) is None:
            raise _unknown(session_id)
        stored = [one for one in await self._vectors.read_messages(owner, session_id) if one.message.role != "tool"]
        return stored[offset : offset + limit], len(stored)

    async def last_messages(self, owner: Owner, n: int) -> list[SessionMessage]:
        """The last `n` messages of all sessions, oldest first. What tools returned is not among them."""
        open_ids = await self._state.open_sessions(owner)
        found = [
            SessionMessage(id, stored)
            for id in open_ids
            for stored in await self._state.newest(owner, id, n)
            if stored.message.role != "tool"
        ]
        read, wanted = -1, n
        while True:  # what tools returned is only known from the messages themselves
            processed = await self._vectors.newest_messages(owner, wanted, exclude_sessions=open_ids)
            said = [SessionMessage(id, stored) for id, stored in processed if stored.message.role != "tool"]
            if len(said) >= n or len(processed) == read:
                break
            read, wanted = len(processed), 4 * wanted
        found += said
        found.sort(key=lambda one: (one.stored.at, one.session, one.stored.position))
        return found[-n:]

    async def process(self, owner: Owner, session_id: str, *, key: str | None = None) -> SessionInfo:
        """Have a session become memory now, without waiting for its timeout.

        Args:
            key: repeated with the same key within a day, this is no error.

        Raises:
            SessionNotFound: the owner has none of this id.
            SessionNotPending: it is processed, or is being processed.
        """
        request = _digest(session_id, "process", key) if key else None
        result = await self._state.end(owner, session_id, request=request)
        if result in {EndResult.BUSY, EndResult.GONE}:
            raise await self._refusal(owner, session_id, "process")
        return await self.get(owner, session_id)

    async def _find(self, owner: Owner, session_id: str) -> SessionInfo | None:
        state = (await self._state.look(owner, [session_id])).get(session_id)
        if state is not None:
            return _of_state(state)
        record = await self._vectors.get_session(owner, session_id)
        return _of_record(record) if record is not None else None

    async def _refusal(self, owner: Owner, session_id: str, what: str) -> SessionNotFound | SessionNotPending:
        found = await self._find(owner, session_id)
        if found is None:
            return _unknown(session_id)
        return SessionNotPending(f"Cannot {what} session with status {found.status}")

    async def _overflow(self, owner: Owner, state: SessionState, new: StoredMessage) -> list[str]:
        """Messages that have to leave the session, so that it stays within its bound with the new one."""
        if state.message_count < SESSION_MESSAGES and utf8_bytes(new.message.text) < _LARGE:
            return []
        index = await self._state.load_index(owner, state.id)
        return [entry.id for entry in overflow([*index.entries, new.entry])] if index is not None else []


def place_one(
    session_id: str, exchange: str, position: int, parent: str | None, at: int, message: Message
) -> StoredMessage:
    """A message in its place."""
    [stored] = place(
        Plan((message,), parent, frozenset(), ()),
        session_id=session_id,
        exchange=exchange,
        first_position=position,
        replies=(),
        asked_at=at,
        answered_at=at,
        partial=False,
    )
    return stored


def _of_state(state: SessionState) -> SessionInfo:
    status = SessionStatus.PENDING
    if state.failed:
        status = SessionStatus.FAILED
    elif state.processing:
        status = SessionStatus.PROCESSING
    return SessionInfo(state.id, status, state.created_at, state.last_at, state.message_count, state.metadata)


def _of_record(record: Session) -> SessionInfo:
    return SessionInfo(
        record.id,
        SessionStatus.PROCESSED,
        record.created_at,
        record.last_at,
        record.message_count,
        record.metadata,
        record.summary,
    )


def _fitting(metadata: Mapping[str, JsonValue], statuses: Sequence[SessionStatus]) -> Callable[[SessionInfo], bool]:
    def fits(session: SessionInfo) -> bool:
        return (not statuses or session.status in statuses) and has_metadata(session.metadata, metadata)

    return fits


def has_metadata(metadata: Mapping[str, JsonValue], wanted: Mapping[str, JsonValue]) -> bool:
    """Whether all of the wanted values are there; what else there is does not matter."""
    return all(name in metadata and metadata[name] == value for name, value in wanted.items())


def _unknown(session_id: str) -> SessionNotFound:
    return SessionNotFound(f"Session {session_id} not found")


def _digest(*parts: str | None) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]


def _now() -> int:
    return time.time_ns() // 1_000_000
