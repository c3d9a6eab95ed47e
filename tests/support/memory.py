"""What a proxy with embedded stores has kept, read beside it from its own Valkey."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TypeVar

import redis

from recallr_litellm.core.messages import StoredMessage
from recallr_litellm.core.owner import Owner
from recallr_litellm.stores.state import Snapshot, StateStore, keys
from recallr_litellm.stores.state.embedded import _socket
from tests.support.proxy import PROJECT, Proxy
from tests.support.waiting import eventually

Read = TypeVar("Read")

SHORT = 1
"""Seconds of `X-Recallr-Session-Timeout-Seconds` for a session that is to be processed soon."""


@dataclass(frozen=True)
class Kept:
    """One session as Redis holds it."""

    id: str
    messages: tuple[StoredMessage, ...]
    """By position."""

    @property
    def said(self) -> list[tuple[str, str]]:
        """(role, text) of each message."""
        return [(stored.message.role, stored.message.text) for stored in self.messages]

    @property
    def texts(self) -> list[str]:
        """The text of each message."""
        return [text for _, text in self.said]


def remember(proxy: Proxy, user: str, *texts: str) -> str:
    """Let the user say this in a session that is over and processed. Returns its id."""
    for number, text in enumerate(texts, start=1):
        reply = proxy.ask(user, text, session_timeout_seconds=SHORT if number == len(texts) else 600)
    Memory(proxy).wait_processed(user, reply.session_id)
    return reply.session_id


class Memory:
    """The sessions in the embedded Valkey of a running proxy.

        memory = Memory(proxy)
        reply = proxy.ask(user, "My cat is called Felix.", session_timeout_seconds=SHORT)
        assert memory.session(user, reply.session_id).texts == [...]
        memory.wait_processed(user, reply.session_id)      # it has left Redis: its text is in Qdrant now

    A processed session can be read too: continue it with `X-Recallr-Session-Id`, and it is back here.
    Reads only, so that looking changes nothing. Not to be called on a running event loop.
    """

    def __init__(self, proxy: Proxy) -> None:
        self._socket = _socket((proxy.data_dir / "redis").resolve())

    def sessions(self, user: str, *, project: str = PROJECT) -> list[Kept]:
        """All sessions of the user that hold messages and are not processed yet, the longest quiet first."""
        owner = Owner(project, user)
        ids = [str(id) for id in self._client().zrange(keys.open_sessions(owner), 0, -1)]
        found = self._load(owner, ids)
        return [Kept(id, found[id].messages) for id in ids if id in found]

    def session(self, user: str, session_id: str, *, project: str = PROJECT) -> Kept:
        """One session. Fails the test if Redis does not hold it."""
        found = self._load(Owner(project, user), [session_id])
        assert session_id in found, f"session {session_id} of {user!r} is not in Redis"
        return Kept(session_id, found[session_id].messages)

    def only(self, user: str) -> Kept:
        """The user's only session. Fails the test if there is none, or another."""
        sessions = self.sessions(user)
        assert len(sessions) == 1, f"{user!r} should have one session with messages, not {len(sessions)}: {sessions}"
        return sessions[0]

    def current(self, user: str) -> str | None:
        """Id of the session that the user is in, with or without messages yet."""
        id = self._client().get(keys.current(Owner(PROJECT, user)))
        return None if id is None else str(id)

    def user_known(self, user: str, *, project: str = PROJECT) -> bool:
        """Whether the user was ever admitted."""
        return bool(self._client().exists(keys.user(Owner(project, user))))

    def wait_processed(self, user: str, *session_ids: str, project: str = PROJECT) -> None:
        """Wait until the sessions have left Redis, which they do only once all of them is in Qdrant."""
        owner = Owner(project, user)
        names = [keys.session(owner, id) for id in session_ids]
        client = self._client()
        eventually(
            lambda: int(client.exists(*names)),
            f"the sessions {session_ids} of {user!r} are processed",
            until=lambda left: left == 0,
        )

    def _client(self) -> redis.Redis:
        return redis.Redis(unix_socket_path=str(self._socket), decode_responses=True, protocol=2, socket_timeout=60.0)

    def _load(self, owner: Owner, ids: list[str]) -> dict[str, Snapshot]:
        async def load() -> dict[str, Snapshot]:
            store = StateStore.from_url(f"unix://{self._socket}", timeout_seconds=60.0)
            try:
                found = {id: await store.load(owner, id) for id in ids}
                return {id: snapshot for id, snapshot in found.items() if snapshot is not None}
            finally:
                await store.close()

        return asyncio.run(load())
