"""Leaves an endpoint alone that is down, but for one attempt at a time.

`stores/circuit_breaker.py` probes a dependency; such an endpoint has nothing that may be probed, so here payloads find
out. purgatory 3.0 and aiobreaker 1.2 let every waiting caller through at once when half-open.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Final

THRESHOLD: Final = 5
"""Failures in a row after which the endpoint is taken to be down."""


def backoff(failures: int, longest: float) -> float:
    """Seconds to pause after so many failures, 1 or more: full jitter below 1 s, 2 s, 4 s, … up to `longest`.

    https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
    """
    return random.uniform(0, min(longest, 2.0 ** min(failures - 1, 32)))  # noqa: S311


class Circuit:
    """Counts failures in a row, of whatever payload.

    Closed, any number of payloads may be on their way. After `THRESHOLD` failures in a row, or when the endpoint asks
    to be left alone, nobody may send for a pause; then one at a time may, until one is answered.

    Args:
        longest_pause: seconds, where the endpoint does not ask for more.
        clock: seconds, never going back.
    """

    def __init__(self, longest_pause: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._longest_pause = longest_pause
        self._clock = clock
        self._failures = 0
        self._until = 0.0
        self.works = False
        """Whether the last payload was answered."""

    @property
    def is_closed(self) -> bool:
        """Whether the endpoint is taken to answer."""
        return self._failures < THRESHOLD and not self.pause

    @property
    def pause(self) -> float:
        """Seconds until anything may be sent."""
        return max(0.0, self._until - self._clock())

    def room(self, sending: int, most: int) -> int:
        """How many more may be sent now, while so many are on their way and `most` may be."""
        if self.pause:
            return 0
        return max(0, (most if self.is_closed else 1) - sending)

    def answered(self) -> None:
        """The endpoint works. A pause is kept all the same: this may be the answer to what was sent before it."""
        self.works = True
        if not self.pause:
            self._failures = 0

    def failed(self, retry_after: float | None = None) -> None:
        """The endpoint did not work. `retry_after`: seconds that it asks for."""
        self.works = False
        if retry_after:
            self._failures = max(self._failures, THRESHOLD)
            self._until = max(self._until, self._clock() + retry_after)
        elif not self.pause:  # else it was sent before the pause began: no news
            self._failures += 1
            if self._failures >= THRESHOLD:
                self._until = self._clock() + backoff(self._failures - THRESHOLD + 1, self._longest_pause)
