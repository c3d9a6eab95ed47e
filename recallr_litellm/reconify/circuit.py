"""Leaves an endpoint alone that is down, but for one attempt at a time.

A few lines of our own, since the libraries do not do what is needed here: in purgatory 3.0 and aiobreaker 1.2 the
half-open state lets every waiting caller through at once, the pause has one fixed length, and neither can be told to
pause by a `Retry-After`. The pauses are tenacity's.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from tenacity import RetryCallState, Retrying, wait_random_exponential

THRESHOLD: Final = 5
"""Failures in a row after which the endpoint is taken to be down."""


class Backoff:
    """Growing pauses with full jitter: up to 1 s after the first failure, doubling to `longest`."""

    def __init__(self, longest: float) -> None:
        self._wait = wait_random_exponential(multiplier=1, max=longest)

    def after(self, failures: int) -> float:
        """Seconds to pause after so many failures, 1 or more."""
        state = RetryCallState(Retrying(), None, (), {})
        state.attempt_number = min(failures, 64)
        return self._wait(state)


class Circuit:
    """Counts failures in a row, of whatever payload.

    Closed, any number of payloads may be on their way. After `THRESHOLD` failures in a row, or when the endpoint asks
    to be left alone, nobody may send for a pause; then one at a time may, until one is answered.

    Args:
        backoff: how long the pauses are.
        clock: seconds, never going back.
    """

    def __init__(self, backoff: Backoff, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._backoff = backoff
        self._clock = clock
        self._failures = 0
        self._until = 0.0

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
        if not self.pause:
            self._failures = 0

    def failed(self, retry_after: float | None = None) -> None:
        """The endpoint did not work. `retry_after`: seconds that it asks for."""
        if retry_after:
            self._failures = max(self._failures, THRESHOLD)
            self._until = max(self._until, self._clock() + retry_after)
        elif not self.pause:  # else it was sent before the pause began: no news
            self._failures += 1
            if self._failures >= THRESHOLD:
                self._until = self._clock() + self._backoff.after(self._failures - THRESHOLD + 1)
