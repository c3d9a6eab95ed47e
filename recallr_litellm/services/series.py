"""Requests over time, in numbers: minutes for hours, hours for weeks."""

from __future__ import annotations

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import accumulate
from typing import Final

from recallr_litellm.core.owner import Project
from recallr_litellm.errors import StateRefused, StateUnavailable
from recallr_litellm.stores.circuit_breaker import CircuitBreaker
from recallr_litellm.stores.state import StateStore
from recallr_litellm.stores.state.series import QUEUE, Step

BOUNDS_MS: Final = (
    *(1, 2, 3, 5, 7, 10, 15, 20, 30, 50, 70, 100, 150, 200, 300, 500, 700),
    *(1_000, 1_500, 2_000, 3_000, 5_000, 7_000, 10_000, 20_000, 30_000),
)
"""Upper ends of the buckets in which added milliseconds are counted; the last bucket has none."""
_FLUSH_SECONDS: Final = 5.0
_MOST_MINUTES: Final = 1_000
"""Minutes of projects that are held while Redis is unreachable; past it the oldest is let go."""
_STATUS: Final = "status:"
_MS: Final = "ms:"
_TOKENS: Final = "tokens"


Queues = Callable[[], Awaitable[Mapping[str, Mapping[str, int]]]]
"""Project → name → length."""


@dataclass(frozen=True, slots=True)
class Point:
    """What happened in a minute or an hour."""

    at: datetime
    """When it began."""
    requests: dict[str, int]
    """`X-Recallr-Memory-Status` → requests."""
    added_ms_p50: float | None
    """Milliseconds that the plugin added to half of them at most; None where there were none."""
    added_ms_p99: float | None
    tokens: int
    """Of all memory blocks that were shown."""
    queues: dict[str, int]
    """Length of each queue when it was last counted (`Operations.queues`); empty where nothing waited."""


class Series:
    """Counts requests in this process, and adds them to what all workers have counted.

    Args:
        queues: counts the queues of all projects.
    """

    def __init__(self, state: StateStore, breaker: CircuitBreaker, *, queues: Queues) -> None:
        self._state = state
        self._breaker = breaker
        self._queues = queues
        self._counts: defaultdict[tuple[str, int], defaultdict[str, int]] = defaultdict(lambda: defaultdict(int))

    def count(self, project: str, *, status: str, seconds: float, tokens: int, now: float | None = None) -> None:
        """Count a request that is over.

        Args:
            seconds: that the plugin took.
            tokens: of its memory blocks.
        """
        counts = self._counts[project, Step.MINUTE.begin(time.time() if now is None else now)]
        counts[_STATUS + status] += 1
        counts[f"{_MS}{_bucket(seconds * 1000)}"] += 1
        counts[_TOKENS] += tokens

    async def run(self) -> None:
        """Write for ever what was counted, and count the queues once a minute."""
        while True:
            await asyncio.sleep(_FLUSH_SECONDS)
            if self._breaker.allows_requests:
                try:
                    await self.flush()
                    if await self._state.may_sample():
                        await self.sample()
                except StateUnavailable as error:
                    self._breaker.trip(error)

    async def flush(self) -> None:
        """Write what was counted. What Redis does not take is kept for the next time.

        Raises:
            StateUnavailable: Redis does not answer.
        """
        counts, self._counts = self._counts, defaultdict(lambda: defaultdict(int))
        if not counts:
            return
        try:
            await self._state.add_to_series(counts)
        except StateRefused:
            return  # of something that is damaged, which another attempt would not mend
        except BaseException:
            for key, fields in list(counts.items())[-_MOST_MINUTES:]:
                for field, number in fields.items():
                    self._counts[key][field] += number
            raise

    async def sample(self) -> None:
        """Add the lengths of the queues to the present minute."""
        minute = Step.MINUTE.begin(time.time())
        lengths = {
            (project, minute): {QUEUE + name: length for name, length in queues.items()}
            for project, queues in (await self._queues()).items()
        }
        await self._state.add_to_series(lengths)

    async def read(
        self, project: Project, step: Step, *, since: float | None = None, now: float | None = None
    ) -> list[Point]:
        """The points since then, as far as they are kept, oldest first, also those in which nothing happened.

        Args:
            since: seconds since the epoch; None: as far back as they are kept.
        """
        return (await self.read_with_sum(project, step, since=since, now=now))[0]

    async def read_with_sum(
        self, project: Project, step: Step, *, since: float | None = None, now: float | None = None
    ) -> tuple[list[Point], Point]:
        """The same, and all of them as one point."""
        moment = time.time() if now is None else now
        first = step.begin(max(moment - step.kept_seconds, since or 0.0))
        beginnings = range(first, step.begin(moment) + 1, step.seconds)
        found = await self._state.read_series(project.id, step, beginnings)
        total: Counter[str] = Counter()
        for fields in found:
            total.update({name: number for name, number in fields.items() if not name.startswith(QUEUE)})
        return [_point(*one) for one in zip(beginnings, found, strict=True)], _point(first, total)


def _bucket(milliseconds: float) -> int:
    return next((place for place, bound in enumerate(BOUNDS_MS) if milliseconds <= bound), len(BOUNDS_MS))


def _point(beginning: int, fields: Mapping[str, int]) -> Point:
    histogram = [fields.get(f"{_MS}{place}", 0) for place in range(len(BOUNDS_MS) + 1)]
    return Point(
        at=datetime.fromtimestamp(beginning, UTC),
        requests=_named(fields, _STATUS),
        added_ms_p50=quantile(histogram, 0.5),
        added_ms_p99=quantile(histogram, 0.99),
        tokens=fields.get(_TOKENS, 0),
        queues=_named(fields, QUEUE),
    )


def _named(fields: Mapping[str, int], prefix: str) -> dict[str, int]:
    return {name.removeprefix(prefix): number for name, number in sorted(fields.items()) if name.startswith(prefix)}


def quantile(histogram: list[int], share: float) -> float | None:
    """The milliseconds that this share of requests stays below, as if each bucket's were evenly spread.

    Args:
        histogram: number of each bucket of `BOUNDS_MS`, and of the last one.
    """
    total = sum(histogram)
    if not total:
        return None
    wanted = share * total
    for place, (until, own) in enumerate(zip(accumulate(histogram), histogram, strict=True)):
        if until >= wanted and own:
            if place == len(BOUNDS_MS):
                break
            lower = BOUNDS_MS[place - 1] if place else 0.0
            return round(lower + (BOUNDS_MS[place] - lower) * (1 - (until - wanted) / own), 2)
    return float(BOUNDS_MS[-1])
