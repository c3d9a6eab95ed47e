"""What a proxy with embedded stores has kept, read beside it from its own Valkey."""

from __future__ import annotations

from dataclasses import dataclass

from recallr_litellm.core.messages import StoredMessage
from recallr_litellm.core.owner import Owner
from recallr_litellm.stores.state import keys
from tests.support.observe import client, embedded_redis_url, in_motion
from tests.support.proxy import PROJECT, Proxy
from tests.support.waiting import eventually

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
    Reads only, so that looking changes nothing.
    """

    def __init__(self, proxy: Proxy) -> None:
        self._url = embedded_redis_url(proxy)

    def sessions(self, user: str, *, project: str = PROJECT) -> list[Kept]:
        """All sessions of the user that hold messages and are not processed yet, the longest quiet first."""
        owner = Owner(project, user)
        with client(self._url) as redis:
            ids = [str(id) for id in redis.zrange(keys.open_sessions(owner), 0, -1)]
        held = in_motion(self._url, owner)
        return [Kept(id, tuple(one.message for one in held if one.session == id)) for id in ids]

    def session(self, user: str, session_id: str, *, project: str = PROJECT) -> Kept:
        """One session. Fails the test if Redis does not hold it."""
        found = [kept for kept in self.sessions(user, project=project) if kept.id == session_id]
        assert found, f"session {session_id} of {user!r} is not in Redis"
        return found[0]

    def only(self, user: str) -> Kept:
        """The user's only session. Fails the test if there is none, or another."""
        sessions = self.sessions(user)
        assert len(sessions) == 1, f"{user!r} should have one session with messages, not {len(sessions)}: {sessions}"
        return sessions[0]

    def current(self, user: str) -> str | None:
        """Id of the session that the user is in, with or without messages yet."""
        with client(self._url) as redis:
            id = redis.get(keys.current(Owner(PROJECT, user)))
        return None if id is None else str(id)

    def user_known(self, user: str) -> bool:
        """Whether the user was ever admitted."""
        with client(self._url) as redis:
            return bool(redis.exists(keys.user(Owner(PROJECT, user))))

    def wait_processed(self, user: str, *session_ids: str, project: str = PROJECT) -> None:
        """Wait until the sessions have left Redis, which they do only once all of them is in Qdrant."""
        names = [keys.session(Owner(project, user), id) for id in session_ids]
        with client(self._url) as redis:
            eventually(
                lambda: int(redis.exists(*names)),
                f"the sessions {session_ids} of {user!r} are processed",
                until=lambda left: left == 0,
            )
