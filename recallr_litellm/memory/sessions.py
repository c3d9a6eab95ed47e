"""Which session a request belongs to: users, opening, continuing, reopening."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import islice

from recallr_litellm.core.bounds import SHOWN_BYTES_PER_TOKEN
from recallr_litellm.core.chats import Chat, goes_on_otherwise, holds, in_doubt, parting, says_the_same
from recallr_litellm.core.history import Plan
from recallr_litellm.core.laid import LaidBlock
from recallr_litellm.core.messages import Message, MessageEntry, StoredMessage
from recallr_litellm.core.owner import Owner
from recallr_litellm.core.recalled import OngoingSession
from recallr_litellm.core.records import Session
from recallr_litellm.errors import SessionNotFound, UserForgotten
from recallr_litellm.memory.users import UserDirectory
from recallr_litellm.stores.state import Candidate, Resolved, StateStore, UnknownSession, UnknownUser, Why
from recallr_litellm.stores.vectors import VectorStore

DEFAULT_TIMEOUT_SECONDS = 600

_MOST_REFUSED = 3
"""Sessions that are looked at for a history they turn out not to hold."""
_MOST_DOUBTS, _DOUBT_BYTES = 4, 100_000
"""Messages, and bytes of them, that are read to find that out."""


@dataclass(frozen=True, slots=True)
class SessionRequest:
    """What a request says about the session it belongs to."""

    owner: Owner
    """Whose name the request bears. Who that is, is known once its session is open (`OpenedSession.owner`)."""
    at: int
    """When the request came, milliseconds since the epoch."""
    timezone: str = ""
    """Of the user: its IANA name; "" for UTC."""
    allow_new_user: bool = False
    session_id: str | None = None
    """A session to continue; None: that of the chat."""
    chat: Chat = field(default_factory=Chat)
    timeout_seconds: int | None = None
    """None leaves a session's timeout as it is and gives a new one the default."""


@dataclass(frozen=True, slots=True)
class OpenedSession:
    """A session with what is known of it at this moment."""

    owner: Owner
    """Whose it is."""
    id: str
    version: int
    entries: tuple[MessageEntry, ...]
    """Its messages without their texts, by position."""
    other_ids: tuple[str, ...]
    """The user's other sessions not yet processed, newest first."""
    found_by: str = "current"
    """How the session was found, for the log: `header`, `client`, `history`, `current` or `new`."""
    blocks: tuple[LaidBlock, ...] = ()
    """The memory blocks kept with it, newest first, where they were asked for."""


class Sessions:
    """Resolves users and sessions over both stores."""

    def __init__(self, state: StateStore, vectors: VectorStore, *, default_timeout_seconds: int) -> None:
        self._state = state
        self._vectors = vectors
        self.users = UserDirectory(state, vectors)
        self._default_timeout_seconds = default_timeout_seconds

    async def open(self, request: SessionRequest, *, replay: bool = False, with_blocks: bool = False) -> OpenedSession:
        """Find or make the session of a request.

        Args:
            replay: the request was answered earlier; times are counted from when it came, not from now.
            with_blocks: read the memory blocks kept with it.

        Raises:
            UserNotFound: the user is unknown and may not be created.
            SessionNotFound: the user has no session of that id.
            Unavailable: a store that is needed for the answer does not answer.
        """
        if replay:
            await self.users.require_not_forgotten(request.owner, request.at)
        request = replace(request, owner=self.users.probable(request.owner))
        resolved = await self._resolve(request, replay=replay, with_blocks=with_blocks)
        if isinstance(resolved, UnknownUser):
            owner = await self.users.admit(request.owner, at=request.at, create=request.allow_new_user)
            request = replace(request, owner=owner)
            resolved = await self._resolve(request, replay=replay, with_blocks=with_blocks)
        if isinstance(resolved, UnknownSession) and request.session_id is not None:
            await self.reopen(request.owner, request.session_id)
            resolved = await self._resolve(request, replay=replay, with_blocks=with_blocks)
        if isinstance(resolved, UnknownUser):
            raise UserForgotten("This user was forgotten just now", param="X-Recallr-User-Id")
        if not isinstance(resolved, Resolved):
            raise _no_such_session()
        self.users.confirm(request.owner)
        self.users.heard_of(request.owner)
        return OpenedSession(
            request.owner,
            resolved.session_id,
            resolved.version,
            resolved.entries,
            resolved.other_sessions,
            _found_by(resolved.why, request.chat),
            resolved.blocks,
        )

    async def part(self, request: SessionRequest, session: OpenedSession, todo: Plan) -> OpenedSession:
        """The session of a request without the messages of other chats, if the request's history shows that it holds
        some; they go to a session of their own. What the client names as one chat stays one.

        Args:
            todo: what the request means for the session.

        Raises:
            Unavailable: Redis does not answer.
        """
        if request.chat.otherwise != "opening" or session.found_by in {"header", "client"}:
            return session
        apart = parting(session.entries, parent=todo.parent, unseen=todo.unseen)
        if apart is None:
            return session
        new = secrets.token_hex(16)
        parted = await self._state.part(
            session.owner,
            session.id,
            new,
            ids=apart.leaving,
            expected_version=session.version,
            enter=apart.with_request,
        )
        if not parted:
            return session  # somebody wrote to it meanwhile: the chat's next request will part them
        leaving = tuple(entry for entry in session.entries if entry.id in apart.leaving)
        staying = tuple(entry for entry in session.entries if entry.id not in apart.leaving)
        if apart.with_request:
            return replace(session, id=new, version=0, entries=leaving, other_ids=(session.id, *session.other_ids))
        return replace(session, version=session.version + 1, entries=staying, other_ids=(new, *session.other_ids))

    async def read(
        self, owner: Owner, session_id: str, entries: Sequence[MessageEntry], *, tokens: int
    ) -> tuple[StoredMessage, ...]:
        """Messages as far as a block of this many tokens can show them: the newest, in the order of the entries."""
        if not entries:
            return ()
        ids = [entry.id for entry in reversed(entries)]
        found = await self._state.read(owner, session_id, ids, most_bytes=SHOWN_BYTES_PER_TOKEN * tokens)
        return tuple(reversed(found))

    async def ongoing(self, owner: Owner, session_ids: tuple[str, ...], *, tokens: int) -> tuple[OngoingSession, ...]:
        """The newest messages of sessions not yet processed, as far as a block of this many tokens can show them, in
        the order of the ids; sessions gone meanwhile are left out."""
        found = await self._state.recent(owner, session_ids, most_bytes=SHOWN_BYTES_PER_TOKEN * tokens)
        return tuple(OngoingSession(id, messages) for id, messages in found.items())

    async def recent_texts(self, name: Owner, *, tokens: int) -> list[Message]:
        """The newest messages of the sessions, not yet processed, of the user who probably has this name. No session
        is touched."""
        owner = self.users.probable(name)
        ids = await self._state.open_ids(owner)
        found = await self._state.recent(owner, ids, most_bytes=SHOWN_BYTES_PER_TOKEN * tokens)
        return [stored.message for messages in found.values() for stored in messages]

    async def reopen(self, owner: Owner, session_id: str) -> None:
        """Bring a processed session back into motion.

        Raises:
            SessionNotFound: this user has no such session.
        """
        session = await self._vectors.get_session(owner, session_id)
        if session is None:
            raise _no_such_session()
        if not await self._state.restore(owner, session, await self._vectors.read_messages(owner, session_id)):
            raise _no_such_session()

    async def recreate(self, owner: Owner, session_id: str, *, at: int, timeout_seconds: int | None) -> None:
        """Make sure that a session exists whose keys are gone from Redis: reopened, or new under its own id.

        Raises:
            UserForgotten: the session, or its user, was forgotten.
        """
        try:
            await self.reopen(owner, session_id)
        except SessionNotFound:
            session = Session(
                id=session_id,
                created_at=at,
                last_at=at,
                timeout_seconds=timeout_seconds or self._default_timeout_seconds,
                message_count=0,
            )
            if not await self._state.restore(owner, session, ()):
                raise UserForgotten("This user, or the session, was forgotten just now") from None

    async def _resolve(
        self, request: SessionRequest, *, replay: bool, with_blocks: bool
    ) -> Resolved | UnknownUser | UnknownSession:
        preferred: str | None = None
        refused: list[str] = []
        chat = request.chat
        while True:
            if len(refused) == _MOST_REFUSED:
                chat = replace(chat, history=())
            found = await self._state.resolve(
                request.owner,
                new_session_id=secrets.token_hex(16),
                timeout_seconds=request.timeout_seconds,
                default_timeout_seconds=self._default_timeout_seconds,
                requested=request.session_id,
                chat=chat,
                preferred=preferred,
                refused=refused,
                with_blocks=with_blocks,
                now_ms=request.at if replay else None,
            )
            if isinstance(found, UnknownUser | UnknownSession):
                return found
            if isinstance(found, Resolved) and found.why is not Why.HISTORY:
                return found
            if not await self._holds(request.owner, found, chat.history):
                refused.append(found.session_id)
            elif isinstance(found, Resolved):
                return found
            else:
                preferred = found.session_id

    async def _holds(self, owner: Owner, session: Candidate | Resolved, history: Sequence[Message]) -> bool:
        """Whether a session that holds messages of a history is the one that it is of."""
        if goes_on_otherwise(history, session.entries):
            return False
        if holds(history, session.entries):
            return True
        doubts = list(islice(in_doubt(history, session.entries), _MOST_DOUBTS))
        ids = [id for said, id in doubts if said is not None and id is not None]
        found = await self._state.read(owner, session.session_id, ids, most_bytes=_DOUBT_BYTES) if ids else []
        texts = {stored.id: stored.message.text for stored in found}
        return any(said is None or (id in texts and says_the_same(said.text, texts[id])) for said, id in doubts)


def _found_by(why: Why, chat: Chat) -> str:
    match why:
        case Why.REQUESTED:
            return "header"
        case Why.HISTORY | Why.PREFERRED | Why.OPENING:
            return "history"
        case Why.CURRENT:
            return "current"
    return chat.named_by or "new"


def _no_such_session() -> SessionNotFound:
    return SessionNotFound("X-Recallr-Session-Id: this user has no session with this id", param="X-Recallr-Session-Id")
