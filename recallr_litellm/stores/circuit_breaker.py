"""A circuit breaker in front of a dependency, so that not every request waits for one that does not answer."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from recallr_litellm.errors import RecallrError, Unavailable
from recallr_litellm.metrics import STORE_UP

_log = logging.getLogger(__name__)


class CircuitBreaker:
    """Stops requests to a dependency after its first outage, until a probe succeeds. Begins stopped.

    Args:
        name: the dependency, for log, metric and health.
        probe: raises a `RecallrError` when the dependency cannot be used. May open or start it first.
        interval: seconds between probes while requests are allowed; at most 1 s while they are stopped.
        probe_timeout: seconds after which a probe has failed.
    """

    def __init__(
        self, name: str, probe: Callable[[], Awaitable[None]], *, interval: float = 1.0, probe_timeout: float = 3.0
    ) -> None:
        self.name = name
        self.error: RecallrError | None = Unavailable(f"{name} has not been probed yet")
        """Why requests are stopped; None while they are allowed."""
        self.in_doubt = True
        """Whether requests are stopped, or a request ran out of time since the last probe."""
        self._probe = probe
        self._interval = interval
        self._probe_timeout = probe_timeout
        self._wake = asyncio.Event()

    @property
    def allows_requests(self) -> bool:
        """Whether the dependency is believed to work."""
        return self.error is None

    def require(self) -> None:
        """Raise the error that stops requests, if there is one."""
        if self.error is not None:
            raise self.error

    def trip(self, error: Unavailable) -> None:
        """Stop requests because of this outage, and probe at once."""
        if self.allows_requests:
            _log.warning("%s is unavailable (%s); requests continue without it", self.name, error)
        self._set(error)
        self._wake.set()

    def suspect(self) -> None:
        """Probe at once, without stopping requests: a request ran out of time, whatever the cause."""
        self.in_doubt = True
        self._wake.set()

    async def probe(self) -> bool:
        """Probe now; allow or stop requests accordingly. Returns whether they are allowed."""
        error: RecallrError | None = None
        try:
            async with asyncio.timeout(self._probe_timeout):
                await self._probe()
        except RecallrError as raised:
            error = raised
        except TimeoutError:
            error = Unavailable(f"{self.name} did not answer within {self._probe_timeout:g} s")
        if str(error or "") != str(self.error or ""):
            level, outcome = (logging.WARNING, f"is unavailable: {error}") if error else (logging.INFO, "is available")
            _log.log(level, "%s %s", self.name, outcome)
        self._set(error)
        return self.allows_requests

    async def watch(self) -> None:
        """Probe for ever: at each interval, and at once after `trip` or `suspect`."""
        while True:
            self._wake.clear()
            await self.probe()
            try:
                async with asyncio.timeout(self._interval if self.allows_requests else min(1.0, self._interval)):
                    await self._wake.wait()
            except TimeoutError:
                continue

    def _set(self, error: RecallrError | None) -> None:
        self.error = error
        self.in_doubt = error is not None
        STORE_UP.labels(self.name).set(self.allows_requests)
