"""Remembers whether a store answers, so that not every request waits for one that does not."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from recallr_litellm.errors import RecallrError
from recallr_litellm.metrics import STORE_UP

_log = logging.getLogger(__name__)


class Gate:
    """Open while a store answers; closed from the first failure until a probe succeeds.

    Args:
        name: the store, for log and metric.
        probe: does whatever is needed until the store can be used; raises a `RecallrError` when it cannot.
        interval: seconds between probes.
        probe_timeout: seconds after which a probe counts as failed.
    """

    def __init__(
        self, name: str, probe: Callable[[], Awaitable[None]], *, interval: float = 1.0, probe_timeout: float = 5.0
    ) -> None:
        self.name = name
        self.is_open = False
        self.fault = "not probed yet"
        """Why it is closed, for the readiness answer."""
        self._probe = probe
        self._interval = interval
        self._probe_timeout = probe_timeout
        self._wake = asyncio.Event()

    def close(self, error: BaseException) -> None:
        """Let nobody through until a probe succeeds."""
        if self.is_open:
            _log.warning("%s does not answer (%s); requests go on without it", self.name, _reason(error))
        self._set(is_open=False, fault=_reason(error))
        self._wake.set()

    async def probe(self) -> bool:
        """Ask the store now and set the gate accordingly."""
        try:
            async with asyncio.timeout(self._probe_timeout):
                await self._probe()
        except (RecallrError, TimeoutError) as error:
            reason = _reason(error)
            if reason != self.fault:
                _log.warning("%s cannot be used: %s", self.name, reason)
            self._set(is_open=False, fault=reason)
            return False
        if not self.is_open:
            _log.info("%s answers", self.name)
        self._set(is_open=True, fault="")
        return True

    async def watch(self) -> None:
        """Probe for ever: each interval, and at once when the gate has been closed."""
        while True:
            self._wake.clear()
            await self.probe()
            try:
                async with asyncio.timeout(self._interval):
                    await self._wake.wait()
            except TimeoutError:
                continue

    def _set(self, *, is_open: bool, fault: str) -> None:
        self.is_open = is_open
        self.fault = fault
        STORE_UP.labels(self.name).set(is_open)


def _reason(error: BaseException) -> str:
    return str(error) or type(error).__name__
