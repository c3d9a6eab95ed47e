"""What keeps a project's memory from being complete, and what to do about it: failed sessions, users of whom nothing is
learned any more, refused payloads and webhooks."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from recallr_litellm.core.owner import Owner, Project
from recallr_litellm.delivery.outbox import Outbox
from recallr_litellm.delivery.records import DeadLetter, Limits
from recallr_litellm.errors import DeadLetterNotFound, SessionNotFound, UserNotFound
from recallr_litellm.stores.state import StateStore, keys
from recallr_litellm.stores.state.learning_queue import LearningQueue, SetAside

QUEUES: Final = ("pending", "due", "processing", "failed", "learning", "learning_failed", "dead", "dead_webhooks")
"""What waits in a project, and what is set aside: sessions by status, users of whom something is to be learned,
payloads that Reconify refused, webhook events that were refused."""
_COUNTED_SECONDS: Final = 5.0
"""How long what took a quarter of a second or more to count is not counted again; of what took less, less."""
_NO_ROOM: Final = Limits(max_queued=0, max_queued_mb=0, max_attempts=1, timeout_seconds=1.0, max_pause_seconds=1.0)
"""Of an outbox to which nothing is added here."""

Receiver = Literal["reconify", "webhook"]
"""Who refuses dead letters."""


@dataclass(frozen=True, slots=True)
class FailedSession:
    """A session that could not be processed and is set aside, with all its messages."""

    owner: Owner
    session_id: str
    reason: str
    """Of its last failure."""


class Operations:
    """Lists and retries."""

    def __init__(self, state: StateStore, *, timeout_seconds: float) -> None:
        self._state = state
        self._learning = LearningQueue(state.link, timeout_seconds=timeout_seconds)
        self._outboxes: Mapping[Receiver, Outbox] = {
            "reconify": Outbox(state.link, keys.RECONIFY, _NO_ROOM, timeout_seconds=timeout_seconds),
            "webhook": Outbox(state.link, keys.WEBHOOKS, _NO_ROOM, timeout_seconds=timeout_seconds),
        }
        self._counting = asyncio.Lock()
        self._counted: Mapping[str, Mapping[str, int]] = {}
        self._count_at = 0.0

    async def failed_sessions(self, project: Project) -> list[FailedSession]:
        """The project's sessions that are set aside as failed, by user and session."""
        found = [FailedSession(*one) for one in await self._state.failed() if one[0].project == project.id]
        return sorted(found, key=lambda one: (one.owner.user, one.session_id))

    async def retry_sessions(self, project: Project, session_id: str | None = None) -> int:
        """Have the project's failed sessions processed again, or one of them. Returns how many.

        Raises:
            SessionNotFound: no failed session of the project has this id.
        """
        found = [
            (one.owner, one.session_id)
            for one in await self.failed_sessions(project)
            if session_id in (None, one.session_id)
        ]
        if session_id is not None and not found:
            raise SessionNotFound(f"Session {session_id} is not among the failed ones")
        return await self._state.retry_failed(found)

    async def failed_learning(self, project: Project) -> list[SetAside]:
        """The project's users of whom nothing is learned any more, since that failed too often."""
        found = [one for one in await self._learning.set_aside() if one.owner.project == project.id]
        return sorted(found, key=lambda one: one.owner.user)

    async def retry_learning(self, project: Project, user: str | None = None) -> int:
        """Learn again of those users, or of one of them. Returns of how many.

        Raises:
            UserNotFound: the user is not among them.
        """
        found = [one.owner for one in await self.failed_learning(project) if user in (None, one.owner.user)]
        if user is not None and not found:
            raise UserNotFound(f"User {user} is not among those of whom learning failed")
        return sum([await self._learning.retry(owner) for owner in found])

    async def dead_letters(self, project: Project, receiver: Receiver = "reconify") -> list[DeadLetter]:
        """What the receiver refused of the project's payloads, or webhooks, oldest first."""
        found = [letter async for letter in self._outboxes[receiver].dead() if letter.project == project.id]
        return sorted(found, key=lambda letter: (letter.died_at, letter.message_id))

    async def retry_dead_letters(
        self, project: Project, message_id: str | None = None, receiver: Receiver = "reconify"
    ) -> int:
        """Send what was refused again, or one of it. Returns how many.

        Raises:
            DeadLetterNotFound: nothing that was refused has this id.
        """
        return await self._outboxes[receiver].requeue_dead(await self._letters(project, message_id, receiver))

    async def delete_dead_letters(
        self, project: Project, message_id: str | None = None, receiver: Receiver = "reconify"
    ) -> int:
        """Delete what was refused, or one of it, for good. Returns how many.

        Raises:
            DeadLetterNotFound: nothing that was refused has this id.
        """
        return await self._outboxes[receiver].drop_dead(await self._letters(project, message_id, receiver))

    async def _letters(self, project: Project, message_id: str | None, receiver: Receiver) -> Sequence[DeadLetter]:
        found = [one for one in await self.dead_letters(project, receiver) if message_id in (None, one.message_id)]
        if message_id is not None and not found:
            raise DeadLetterNotFound(f"Dead letter {message_id} not found")
        return found

    async def queues(self) -> Mapping[str, Mapping[str, int]]:
        """Project → queue → length, see `QUEUES`; without projects that have nothing in any. Where counting takes long,
        as it was some seconds ago."""
        async with self._counting:
            if time.monotonic() >= self._count_at:
                began = time.monotonic()
                self._counted = await self._count()
                ended = time.monotonic()
                self._count_at = ended + min(_COUNTED_SECONDS, 20 * (ended - began))
            return self._counted

    async def _count(self) -> Mapping[str, Mapping[str, int]]:
        sessions, learning, dead, webhooks = await asyncio.gather(
            self._state.lengths_by_project(),
            self._learning.lengths_by_project(),
            self._outboxes["reconify"].dead_by_project(),
            self._outboxes["webhook"].dead_by_project(),
        )
        found: defaultdict[str, dict[str, int]] = defaultdict(lambda: dict.fromkeys(QUEUES, 0))
        for project, length in sessions.items():
            found[project] |= {
                "pending": length.waiting,
                "due": length.due,
                "processing": length.leased,
                "failed": length.failed,
            }
        for project, length in learning.items():
            waiting = length.waiting + length.due + length.leased
            found[project] |= {"learning": waiting, "learning_failed": length.failed}
        for project, count in dead.items():
            found[project]["dead"] = count
        for project, count in webhooks.items():
            found[project]["dead_webhooks"] = count
        return dict(found)
