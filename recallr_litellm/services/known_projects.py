"""Keeps what a worker knows of projects and API keys up to date with the stores."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Final

from recallr_litellm.errors import CallRefused, StateUnavailable, Unavailable
from recallr_litellm.projects import Projects, Recorded
from recallr_litellm.stores.state import StateStore
from recallr_litellm.stores.vectors import VectorStore

_log = logging.getLogger(__name__)

_LOOK_SECONDS: Final = 1.0
"""How often a worker looks whether there was a change."""
_READ_SECONDS: Final = 60.0
"""How often all is read again, whether or not there was a change: the note of one may be lost."""
_USED_SECONDS: Final = 60.0
"""How often the use of a key is noted."""


def now_ms() -> int:
    """Milliseconds since the epoch."""
    return time.time_ns() // 1_000_000


class KnownProjects:
    """Reads projects and keys of the store into `Projects`, in each worker.

    Args:
        clock: milliseconds since the epoch.
    """

    def __init__(
        self, projects: Projects, vectors: VectorStore, state: StateStore, *, clock: Callable[[], int] = now_ms
    ) -> None:
        self._projects = projects
        self._vectors = vectors
        self._state = state
        self._clock = clock
        self._reading = asyncio.Lock()
        self._version: str | None = None
        self._read_at = 0
        self._noted: dict[str, int] = {}

    async def read(self) -> None:
        """Read all of it now. Raises `Unavailable` or `CallRefused`; what was known stays."""
        async with self._reading:  # what was read first must not be taken up last
            self._projects.learn(Recorded.of(await self._vectors.projects(), await self._vectors.keys()))
            self._read_at = self._clock()

    async def changed(self) -> None:
        """Take up a change that this worker has made, and tell the others."""
        await self.read()
        try:
            await self._state.projects_changed()
        except StateUnavailable as error:
            _log.warning("Other workers learn within %d s that projects or keys changed: %s", _READ_SECONDS, error)

    async def keep(self) -> None:
        """Follow changes for ever."""
        while True:
            await self.follow()
            await asyncio.sleep(_LOOK_SECONDS)

    async def follow(self) -> None:
        """Read all of it if there was a change, or it was not read for long; note which keys were used."""
        version: str | None = None
        try:
            version = await self._state.projects_version()
            await self._note_uses()
        except (Unavailable, CallRefused) as error:
            _log.debug("Redis does not say whether projects or keys changed: %s", error)
        changed = version is not None and version != self._version
        if changed or self._clock() - self._read_at >= _READ_SECONDS * 1000:
            try:
                await self.read()
            except (Unavailable, CallRefused) as error:
                _log.debug("Projects and keys cannot be read: %s", error)
            else:
                self._version = version or self._version

    async def _note_uses(self) -> None:
        now, used = self._clock(), set(self._projects.used)
        self._projects.used.clear()
        due = {id for id in used if now - self._noted.get(id, 0) >= _USED_SECONDS * 1000}
        if due:
            await self._state.keys_used(due, now)
            self._noted = {id: at for id, at in self._noted.items() if now - at < _USED_SECONDS * 1000}
            self._noted |= dict.fromkeys(due, now)
