"""What keeps a project's memory from being complete, and what to do about it: failed sessions, refused payloads."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from recallr_litellm.core.owner import Owner, Project
from recallr_litellm.delivery.outbox import Outbox
from recallr_litellm.delivery.records import DeadLetter, Limits
from recallr_litellm.errors import DeadLetterNotFound, SessionNotFound
from recallr_litellm.stores.state import StateStore, keys

_NO_ROOM: Final = Limits(max_queued=0, max_queued_mb=0, max_attempts=1, timeout_seconds=1.0, max_pause_seconds=1.0)
"""Of an outbox to which nothing is added here."""


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
        self._outbox = Outbox(state.link, keys.RECONIFY, _NO_ROOM, timeout_seconds=timeout_seconds)

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

    async def dead_letters(self, project: Project) -> list[DeadLetter]:
        """The project's payloads that Reconify refused, oldest first."""
        found = [letter async for letter in self._outbox.dead() if letter.project == project.id]
        return sorted(found, key=lambda letter: (letter.died_at, letter.message_id))

    async def retry_dead_letters(self, project: Project, message_id: str | None = None) -> int:
        """Send the project's refused payloads to Reconify again, or one of them. Returns how many.

        Raises:
            DeadLetterNotFound: no refused payload of the project has this id.
        """
        found: Sequence[DeadLetter] = await self.dead_letters(project)
        if message_id is not None:
            found = [letter for letter in found if letter.message_id == message_id]
            if not found:
                raise DeadLetterNotFound(f"Dead letter {message_id} not found")
        return await self._outbox.requeue_dead(found)

    async def queues(self) -> dict[str, dict[str, int]]:
        """Project → sessions that are `due` and `failed`, payloads that are `dead`."""
        found = await self._state.queues_of_projects(now_ms=time.time_ns() // 1_000_000)
        async for letter in self._outbox.dead():
            if letter.project:
                of_project = found.setdefault(letter.project, {})
                of_project["dead"] = of_project.get("dead", 0) + 1
        return {project: {"due": 0, "failed": 0, "dead": 0} | lengths for project, lengths in found.items()}
