"""Remembers whether a store answers, so that not every request waits for one that does not."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from recallr_litellm.errors import RecallrError, Unavailable
from recallr_litellm.metrics import STORE_UP

_log = logging.getLogger(__name__)


class CircuitBreaker:
    """Open while a store answers; closed from the first failure until a probe succeeds.

    Args:
        name: the store, for log and metric.
        probe: does whatever is needed until the store can be used; raises a `RecallrError` when it cannot.
        interval: seconds between probes.
        probe_timeout: seconds after which a probe counts as failed.
    """

    def __init__(
        self, name: str, probe: Callable[[], Awaitable[None]], *, interval: float = 1.0, probe_timeout: float = 3.0
    ) -> None:
        self.name = name
        self.error: RecallrError | None = Unavailable(f"{name} was not asked yet")
        """Why it is closed; None while it is open."""
        self._probe = probe
        self._interval = interval
        self._probe_timeout = probe_timeout
        self._wake = asyncio.Event()

    @property
    def allows_requests(self) -> bool:
        """Whether the store is taken to answer."""
        return self.error is None

    def require(self) -> None:
        """Return while the breaker is open.

        Raises:
            RecallrError: why it is closed.
        """
        if self.error is not None:
            raise self.error

    def trip(self, error: RecallrError) -> None:
        """Let nobody through until a probe succeeds."""
        if self.allows_requests:
            _log.warning("%s does not answer (%s); requests go on without it", self.name, error)
        self._set(error)
        self._wake.set()

    def suspect(self) -> None:
        """Probe at once. Somebody has waited for the store in vain, which may be the store's fault or not."""
        self._wake.set()

    async def probe(self) -> bool:
        """Ask the store now and set the breaker accordingly."""
        error: RecallrError | None = None
        try:
            async with asyncio.timeout(self._probe_timeout):
                await self._probe()
        except RecallrError as raised:
            error = raised
        except TimeoutError:
            error = Unavailable(f"{self.name} gave no answer in {self._probe_timeout:g} s")
        if str(error or "") != str(self.error or ""):
            level, outcome = (logging.WARNING, f"cannot be used: {error}") if error else (logging.INFO, "answers")
            _log.log(level, "%s %s", self.name, outcome)
        self._set(error)
        return self.allows_requests

    async def watch(self) -> None:
        """Probe for ever: each interval, and at once when the breaker has been closed or the store is suspected."""
        while True:
            self._wake.clear()
            await self.probe()
            try:
                async with asyncio.timeout(self._interval):
                    await self._wake.wait()
            except TimeoutError:
                continue

    def _set(self, error: RecallrError | None) -> None:
        self.error = error
        STORE_UP.labels(self.name).set(self.allows_requests)
