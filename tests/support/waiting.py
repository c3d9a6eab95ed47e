"""Waiting for what happens elsewhere, in a process or a background task."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from tenacity import RetryError, Retrying, retry_if_result, stop_after_delay, wait_fixed

Seen = TypeVar("Seen")


def eventually(
    probe: Callable[[], Seen], what: str, *, until: Callable[[Seen], bool] = bool, timeout: float = 120.0
) -> Seen:
    """Look again and again until it is so, and return what was seen.

        eventually(lambda: store.count() == 3, "all three sessions are processed")

    Args:
        probe: looks; an exception of its own ends the wait.
        what: the expectation, for the error.
        until: when what was seen will do; by default when it is true.
        timeout: seconds; generous, since it costs nothing where all goes well.

    Raises:
        AssertionError: it was never so; the message shows what was seen last.
    """
    again = Retrying(
        retry=retry_if_result(lambda seen: not until(seen)), stop=stop_after_delay(timeout), wait=wait_fixed(0.05)
    )
    try:
        return again(probe)
    except RetryError as error:
        last = error.last_attempt.result()
        raise AssertionError(f"not within {timeout:.0f} s: {what}; last seen: {last!r}") from None
