"""How many requests to the API a project may make."""

from __future__ import annotations

from recallr_litellm.core.owner import Project
from recallr_litellm.errors import CallRefused, StateUnavailable, TooManyRequests
from recallr_litellm.projects import Projects
from recallr_litellm.stores.circuit_breaker import CircuitBreaker
from recallr_litellm.stores.state import StateStore


class Limits:
    """The limits of projects. Where Redis cannot count, there are none."""

    def __init__(self, projects: Projects, state: StateStore, breaker: CircuitBreaker) -> None:
        self._projects = projects
        self._state = state
        self._breaker = breaker

    async def admit(self, project: Project) -> None:
        """Count a request. Raises TooManyRequests where the project has had those of this minute."""
        most = self._projects.settings_of(project.id).requests_per_minute
        if most is None or not self._breaker.allows_requests:
            return
        try:
            seconds = await self._state.seconds_to_wait(project.id, most=most)
        except StateUnavailable as error:
            self._breaker.trip(error)
            return
        except CallRefused:
            return
        if seconds:
            text = f"the project may make {most} requests a minute; try again in {seconds} s"
            raise TooManyRequests(text, retry_after=seconds)

    def max_body_bytes(self, project: Project) -> int | None:
        """Size up to which the body of a request is read; None: any."""
        return self._projects.settings_of(project.id).max_body_bytes
