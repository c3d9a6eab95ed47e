"""Work in the background: it gives way to requests, and its tasks end for good."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final

QUIET_SECONDS: Final = 0.05
"""Idle seconds before a process counts as quiet: a client that was answered often asks again."""


async def end(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancel tasks until they have ended.

    One cancellation is not always enough: `asyncio.wait_for` of Python 3.11, which redis-py uses, loses it when the
    answer that it waits for comes at the same moment.
    """
    left = set(tasks)
    while left := {task for task in left if not task.done()}:
        for task in left:
            task.cancel()
        await asyncio.wait(left, timeout=0.2)


class InFlight:
    """The requests that this process is serving just now, to which work in the background gives way.

    with in_flight.one_more():          # around the serving of a request
        ...
    await in_flight.quiet(within=1.0)   # before work that can wait
    """

    def __init__(self, quiet_seconds: float = QUIET_SECONDS) -> None:
        self._quiet_seconds = quiet_seconds
        self._count = 0
        self._none = asyncio.Event()
        self._none.set()
        self._ended_at = -quiet_seconds

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
        """Return once there has been no request for `quiet_seconds`, or after `within` seconds."""
        with suppress(TimeoutError):
            async with asyncio.timeout(within):
                await self._quiet()

    async def _quiet(self) -> None:
        while True:
            await self._none.wait()
            left = self._ended_at + self._quiet_seconds - time.monotonic()
            if left <= 0:
                return
            await asyncio.sleep(left)
