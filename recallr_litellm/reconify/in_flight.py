"""Lets work in the background give way to the requests of the same process."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

QUIET_SECONDS: Final = 0.05
"""Idle seconds before the process counts as quiet: a client that was answered often asks again."""


class InFlight:
    """The requests that this process is serving just now.

    with in_flight.one_more():          # around the serving of a request
        ...
    await in_flight.quiet(within=1.0)   # before work that can wait
    """

    def __init__(self) -> None:
        self._count = 0
        self._none = asyncio.Event()
        self._none.set()
        self._ended_at = -QUIET_SECONDS

    @contextmanager
    def one_more(self) -> Iterator[None]:
        """While a request is being served."""
        self._count += 1
        self._none.clear()
        try:
            yield
        finally:
            self._count -= 1
            if not self._count:
                self._none.set()
                self._ended_at = time.monotonic()

    async def quiet(self, *, within: float) -> None:
        """Return once there has been no request for `QUIET_SECONDS`, or after `within` seconds."""
        with suppress(TimeoutError):
            async with asyncio.timeout(within):
                await self._quiet()

    async def _quiet(self) -> None:
        while True:
            await self._none.wait()
            left = self._ended_at + QUIET_SECONDS - time.monotonic()
            if left <= 0:
                return
            await asyncio.sleep(left)
