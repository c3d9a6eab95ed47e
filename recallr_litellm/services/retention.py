"""Deletes what was not used for as long as its project keeps it."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from typing import Final

from recallr_litellm.core.owner import Project
from recallr_litellm.errors import Unavailable
from recallr_litellm.services.forgetting import Forgetting
from recallr_litellm.stores.state import StateStore
from recallr_litellm.stores.vectors import VectorStore

_log = logging.getLogger(__name__)

SWEEP_SECONDS: Final = 3600
"""How often one of the workers looks for what is to be deleted."""
_PAGE: Final = 100
_DAY_MS: Final = 24 * 60 * 60 * 1000

Periods = Callable[[], Mapping[str, int]]
"""Project id → days that its sessions are kept after their last use; without those that keep them for ever."""


class Retention:
    """Forgets sessions whose last use is too long ago, with the memories that came from them alone.

    Args:
        interval: seconds between looks whether a sweep is due.
    """

    def __init__(
        self, state: StateStore, vectors: VectorStore, forgetting: Forgetting, periods: Periods, *, interval: float
    ) -> None:
        self._state = state
        self._vectors = vectors
        self._forgetting = forgetting
        self._periods = periods
        self._interval = interval

    async def run(self) -> None:
        """Sweep every hour, for ever; of all workers one does."""
        while True:
            await asyncio.sleep(self._interval)
            try:
                if self._periods() and await self._state.take_turn("retention", SWEEP_SECONDS):
                    await self.sweep()
            except Unavailable as error:
                _log.warning("Sessions past their retention are deleted later: %s", error)

    async def sweep(self, *, now_ms: int | None = None) -> int:
        """Delete what is past its retention now. Returns how many sessions that were."""
        now = time.time_ns() // 1_000_000 if now_ms is None else now_ms
        periods = self._periods()
        deleted = 0
        for project, days in periods.items():
            until = now - days * _DAY_MS
            async for user in self._vectors.users_of(Project(project)):
                while sessions := await self._vectors.sessions_until(user.owner, until, _PAGE):
                    before = deleted
                    for session in sessions:
                        gone = await self._forgetting.forget_session(user.owner, session.id, unused_since=until)
                        deleted += gone.processed_sessions
                    if deleted == before:
                        break  # all of them were reopened: they are in use
            for owner, session_id, _ in await self._state.failed():
                if owner.project == project:
                    gone = await self._forgetting.forget_session(owner, session_id, unused_since=until)
                    deleted += gone.open_sessions
        if deleted:
            _log.info("%d sessions were past the retention of their projects and are deleted", deleted)
        return deleted
