"""Work in the background: it gives way to requests, and its tasks end for good."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from math import inf
from typing import Any, Final

QUIET_SECONDS: Final = 0.05
"""Idle seconds before a process counts as quiet: a client that was answered often asks again."""
_LATELY_SECONDS: Final = 1.0
"""For so long after a request the next one is expected soon."""


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
    with in_flight.first(within=0.1):   # around work that gives way between its pieces, wherever it calls `give_way`
        ...
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

    @contextmanager
    def first(self, *, within: float, in_all: float = inf, rest: float = 0.0) -> Iterator[None]:
        """While work is done, and tasks begin, that requests go before.

        Args:
            within: the longest wait of each `give_way`, in seconds. It is bounded since a request may wait a long time
                for its model, which takes no processor.
            in_all: the longest wait of all of them together, in seconds.
            rest: where a request was served in the last second, each `give_way` waits this many times as long as the
                piece of work before it took, so that the next request seldom comes while a piece is being done.
        """
        before = _giving_way.set(_GivingWay(self, within, in_all, rest))
        try:
            yield
        finally:
            _giving_way.reset(before)

    async def _first(self, rest: float) -> None:
        if self._count or time.monotonic() - self._ended_at < _LATELY_SECONDS:
            await asyncio.sleep(rest)
        await self._none.wait()

    async def _quiet(self) -> None:
        while True:
            await self._none.wait()
            left = self._ended_at + self._quiet_seconds - time.monotonic()
            if left <= 0:
                return
            await asyncio.sleep(left)


async def give_way() -> None:
    """Between two pieces of work, as two calls of a store: return at once, or, where requests go first
    (`InFlight.first`), when none is being served or the time for that is over."""
    if (giving := _giving_way.get()) is None:
        return
    await asyncio.sleep(0)  # a request that has just come is seen then
    begun = time.monotonic()
    rest = giving.rest * (begun - giving.resumed)
    with suppress(TimeoutError):
        async with asyncio.timeout(min(giving.within, giving.left)):
            await giving.in_flight._first(rest)
    giving.resumed = time.monotonic()
    giving.left -= giving.resumed - begun


@dataclass(slots=True)
class _GivingWay:
    in_flight: InFlight
    within: float
    left: float
    rest: float
    resumed: float = 0.0
    """When the work went on, by the monotonic clock."""


_giving_way: ContextVar[_GivingWay | None] = ContextVar("recallr_giving_way", default=None)
