"""How long learning leaves the model alone after it has failed, whichever user it was asked for."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable

from recallr_litellm.errors import ModelBusy, ModelUnavailable

_log = logging.getLogger(__name__)

LONGEST_SECONDS = 600.0
_FIRST_SECONDS = 5.0


class ModelPause:
    """Grows with each failure in a row, up to ten minutes; a provider's own `retry-after` goes before.

    Args:
        clock: monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._until = 0.0
        self._failures = 0

    @property
    def seconds_left(self) -> float:
        """Until the model may be asked again; 0 while it may."""
        return max(0.0, self._until - self._clock())

    def failed(self, error: ModelUnavailable) -> float:
        """The model failed. Returns how many seconds it is left alone now."""
        if not self.seconds_left:  # else another call failed of the same outage
            named = error.retry_after if isinstance(error, ModelBusy) else None
            pause = named if named is not None else _FIRST_SECONDS * 2.0 ** min(self._failures, 10)
            pause = max(0.0, min(LONGEST_SECONDS, pause)) * random.uniform(1.0, 1.2)  # noqa: S311 - not a secret
            self._until = self._clock() + pause
            if not self._failures:
                _log.warning("Learning waits for RECALLR_MEMORY_MODEL, no session is lost: %s", error)
            self._failures += 1
        return self.seconds_left

    def worked(self) -> None:
        """The model answered."""
        if self._failures:
            _log.info("RECALLR_MEMORY_MODEL answers again after %d failures", self._failures)
        self._failures = 0
