"""Half of the state store: users, the session of a request, its messages."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Sequence
from typing import Final

from recallr_litellm.core.chats import Chat
from recallr_litellm.core.laid import LaidBlock
from recallr_litellm.core.messages import StoredMessage
from recallr_litellm.core.owner import Owner
from recallr_litellm.core.records import Session
from recallr_litellm.stores.state import codec, keys
from recallr_litellm.stores.state.contents import MARKER_SECONDS, OTHER_SESSIONS, SessionContents
from recallr_litellm.stores.state.records import Candidate, CommitResult, Resolved, UnknownSession, UnknownUser, Why

KEPT_BLOCKS: Final = 64
"""Memory blocks kept of a session."""


class OpenSessions(SessionContents):
    """What a request does with its session."""

    async def resolve(
        self,
        owner: Owner,
        *,
        new_session_id: str,
        timeout_seconds: int | None,
        default_timeout_seconds: int,
        requested: str | None = None,
        chat: Chat | None = None,
        preferred: str | None = None,
        refused: Collection[str] = (),
        with_blocks: bool = False,
        now_ms: int | None = None,
    ) -> Resolved | Candidate | UnknownUser | UnknownSession:
        """The session of a request: the requested one; else that of its chat, or the one that holds its history; else,
        as the chat says, the current one, the one of a history that begins alike, or a new one. Any of them only if it
        has been quiet for less than its timeout. Any number of concurrent calls make one session.

        The session of a request whose client does not name its chat becomes the current one. It is due for processing
        after its timeout from now. Anything its processing had come to is void: a lease on it, its failed attempts, its
        being set aside as failed.

        Args:
            new_session_id: the id of the session, if one has to be made; not used before.
            timeout_seconds: replaces the session's timeout from this request on; None leaves it.
            default_timeout_seconds: for a new session when `timeout_seconds` is None.
            requested: id of the session to continue.
            preferred: id of a session that is known to hold the history.
            refused: ids of sessions that are known not to hold it.
            with_blocks: read the memory blocks that are kept with a session that holds messages.

        Returns:
            `Candidate` where a session holds one message of the history only; nothing was changed, and the caller is to
            call again. `UnknownUser` (nothing was created) or `UnknownSession` where Redis does not know them.
        """
        bucket = keys.bucket_of(owner)
        chat = chat or Chat()
        unused = keys.current(owner)  # a script's keys cannot be left out
        reply = await self._run(
            self._scripts.resolve,
            [
                keys.user(owner),
                keys.current(owner),
                keys.open_sessions(owner),
                keys.due(bucket),
                keys.failed(bucket),
                keys.chat(owner, chat.key) if chat.key else unused,
                keys.chat(owner, chat.opening) if chat.opening else unused,
            ],
            now_ms,
            owner.key,
            codec.dump_owner(owner),
            new_session_id,
            timeout_seconds,
            default_timeout_seconds,
            requested,
            MARKER_SECONDS,
            OTHER_SESSIONS,
            keys.sessions(bucket),
            keys.prefix(bucket),
            None if chat.key is None else "part" if chat.part else "chat",
            chat.otherwise,
            preferred,
            owner.name_key,
            int(with_blocks),
            len(chat.history),
            *(print for message in chat.history for print in (message.fingerprint, message.likeness)),
            *refused,
        )
        match reply:
            case ["unknown_user"]:
                return UnknownUser()
            case ["unknown_session"]:
                return UnknownSession()
            case ["candidate", session_id, rows, count]:
                return Candidate(session_id, await self._entries(owner, session_id, rows, count))
        _, session_id, version, timeout, rows, count, others, why, blocks = reply
        created = session_id == new_session_id  # so that a repeated call says the same
        return Resolved(
            session_id=session_id,
            created=created,
            why=Why.NEW if created else Why(why),
            version=version,
            entries=await self._entries(owner, session_id, rows, count),
            timeout_seconds=timeout,
            other_sessions=tuple(others),
            blocks=codec.load_blocks(blocks),
        )

    async def restore(
        self, owner: Owner, session: Session, messages: Iterable[StoredMessage], *, now_ms: int | None = None
    ) -> bool:
        """Put a processed session back, as active as of now; the current one if there is none. Does nothing if the
        session is there already. Its version is none that it had before.

        Returns:
            False where the session or its user is forgotten: it stays away.
        """
        bucket = keys.bucket_of(owner)
        reply = await self._run(
            self._scripts.restore,
            [
                keys.session(owner, session.id),
                keys.due(bucket),
                keys.failed(bucket),
                keys.open_sessions(owner),
                keys.current(owner),
                keys.gone(owner),
                keys.gone(owner, session.id),
            ],
            now_ms,
            keys.prefix(bucket),
            keys.member(owner, session.id),
            session.id,
            codec.dump_owner(owner),
            session.created_at,
            session.timeout_seconds,
            codec.dump_metadata(session.metadata) if session.metadata else None,
            *codec.dump_messages(messages),
        )
        return bool(reply != -1)

    async def commit(
        self,
        owner: Owner,
        session_id: str,
        *,
        exchange: str,
        expected_version: int,
        add: Sequence[StoredMessage],
        drop: Collection[str],
        final: bool,
        amends: bool = False,
        move: Collection[str] = (),
        answer: str | None = None,
        now_ms: int | None = None,
    ) -> CommitResult:
        """Write an exchange into its session: all of it or nothing, and its final form once.

        A partial commit (`final=False`) may be followed by further ones of the same exchange and by the final one;
        messages of the same id replace each other. As long as no other exchange was written in between, they may all
        give the version that the first one gave. The user counts as active in the session.

        Args:
            exchange: id of the exchange, unique to it; remembered for a day.
            expected_version: of the session as it was when `add` and `drop` were worked out.
            drop: ids of messages to remove; unknown ones are ignored.
            amends: takes the place of a final form, too.
            move: ids of messages that go to a session of their own, to be processed now.
            answer: digest of the answer's id, by which a later request names it (`Chat.key`).
        """
        bucket = keys.bucket_of(owner)
        part = hashlib.sha256(f"{session_id}:{exchange}".encode()).hexdigest()[:32]
        reply = await self._run(
            self._scripts.commit,
            [
                keys.session(owner, session_id),
                keys.session(owner, part),
                keys.due(bucket),
                keys.failed(bucket),
                keys.open_sessions(owner),
                keys.exchange(owner, exchange),
                keys.chat(owner, answer) if answer else keys.exchange(owner, exchange),
            ],
            now_ms,
            keys.prefix(bucket),
            owner.key,
            session_id,
            part,
            expected_version,
            "amended" if amends else "final" if final else "partial",
            MARKER_SECONDS,
            answer,
            len(add),
            len(drop),
            *codec.dump_messages(add),
            *drop,
            *move,
        )
        return CommitResult(reply)

    async def part(
        self,
        owner: Owner,
        session_id: str,
        new_session_id: str,
        *,
        ids: Collection[str],
        expected_version: int,
        enter: bool,
        now_ms: int | None = None,
    ) -> bool:
        """Move messages of a session to a new one, whose version is 0 and which is as active as of now. The version of
        the session grows by one. Both keep the memory blocks.

        Args:
            enter: the new session becomes the current one.

        Returns:
            False where somebody wrote to the session since its version was read: nothing was done.
        """
        bucket = keys.bucket_of(owner)
        names = [
            keys.session(owner, session_id),
            keys.session(owner, new_session_id),
            keys.due(bucket),
            keys.open_sessions(owner),
            keys.current(owner),
            keys.blocks(owner, session_id),
            keys.blocks(owner, new_session_id),
        ]
        fixed = (keys.prefix(bucket), owner.key, session_id, new_session_id, expected_version, int(enter))
        return bool(await self._run(self._scripts.part, names, now_ms, *fixed, *ids))

    async def lay_block(
        self, owner: Owner, session_id: str, block: LaidBlock | None, *, gone: Iterable[LaidBlock] = (), most_bytes: int
    ) -> None:
        """Keep a memory block as long as its session. Does nothing if the session is not in Redis.

        Args:
            gone: blocks to remove.
            most_bytes: that the session's blocks take; the oldest past that, and past `KEPT_BLOCKS`, are removed.
        """
        names = [keys.session(owner, session_id), keys.blocks(owner, session_id)]
        added = codec.dump_block(block) if block is not None else ""
        await self._run(self._scripts.lay, names, added, KEPT_BLOCKS, most_bytes, *map(codec.dump_block, gone))
