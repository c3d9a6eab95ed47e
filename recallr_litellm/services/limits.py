"""How many requests to the API a project may make, and how often somebody may try keys."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Final

from recallr_litellm.core.owner import Project
from recallr_litellm.errors import CallRefused, StateUnavailable, TooManyRequests
from recallr_litellm.projects import Projects
from recallr_litellm.stores.circuit_breaker import CircuitBreaker
from recallr_litellm.stores.state import StateStore

WRONG_KEYS: Final = 10
"""That may be tried from one address in a minute."""
WRONG_KEYS_OF_ALL: Final = 200
"""Likewise, from all addresses together."""


class Limits:
    """Where Redis cannot count, there are none."""

    def __init__(self, projects: Projects, state: StateStore, breaker: CircuitBreaker) -> None:
        self._projects = projects
        self._state = state
        self._breaker = breaker

    async def admit(self, project: Project) -> None:
        """Count a request. Raises TooManyRequests where the project has had those of this minute."""
        most = self._projects.settings_of(project.id).requests_per_minute
        if most is None:
            return
        if seconds := await self._asked(partial(self._state.seconds_to_wait, project.id, most=most)):
            text = f"the project may make {most} requests a minute; try again in {seconds} s"
            raise TooManyRequests(text, retry_after=seconds)

    @asynccontextmanager
    async def trying_a_key(self, address: str) -> AsyncIterator[None]:
        """Around the check of a key that somebody has typed in. It counts unless the body ends without an error.

        An address that has had its tries takes none from others.

        Raises:
            TooManyRequests: the address, or all together, have tried too many wrong ones in this minute.
        """
        counted = []
        for name, most in ((("keys", address), WRONG_KEYS), (("keys",), WRONG_KEYS_OF_ALL)):
            if seconds := await self._asked(partial(self._state.seconds_to_wait, *name, most=most)):
                raise TooManyRequests(f"too many wrong keys; try again in {seconds} s", retry_after=seconds)
            counted.append((name, most))
        yield
        for name, most in counted:
            await self._asked(partial(self._state.uncount, *name, most=most))

    def max_body_bytes(self, project: Project) -> int | None:
        """Size up to which the body of a request is read; None: any."""
        return self._projects.settings_of(project.id).max_body_bytes

    async def _asked(self, question: Callable[[], Awaitable[int | None]]) -> int | None:
        """What Redis answers; None where it does not."""
        if not self._breaker.allows_requests:
            return None
        try:
            return await question()
        except StateUnavailable as error:
            self._breaker.trip(error)
        except CallRefused:
            pass
        return None
