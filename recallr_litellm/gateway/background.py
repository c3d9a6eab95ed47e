"""Work beside the requests: taken up again after faults, run while the loop stands still."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Coroutine
from typing import Any

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, wait_random_exponential

from recallr_litellm.metrics import FAULTS

_log = logging.getLogger(__name__)


def report_fault(task: asyncio.Task[Any]) -> None:
    """Log the fault that has ended a task, if one has."""
    if not task.cancelled() and (error := task.exception()) is not None:
        FAULTS.labels("background").inc()
        _log.error("Background work ended by a fault", exc_info=error)


async def for_ever(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Do background work, and take it up again, with growing pauses, when a fault of ours has ended it."""

    def report(state: RetryCallState) -> None:
        FAULTS.labels("background").inc()
        error = state.outcome.exception() if state.outcome else None
        _log.error("Background work failed and is taken up again", exc_info=error)

    async for attempt in AsyncRetrying(
        retry=retry_if_exception_type(Exception), wait=wait_random_exponential(max=30), before_sleep=report
    ):
        with attempt:
            await work()


def run_aside(work: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine to its end while the event loop of this thread stands still.

    LiteLLM imports callbacks on its running loop, synchronously: only an error raised there stops the start.
    """
    failures: list[BaseException] = []

    def run() -> None:
        try:
            asyncio.run(work)
        except Exception as error:  # noqa: BLE001 - raised below, in the thread that waits
            failures.append(error)

    thread = threading.Thread(target=run, name="recallr-start")
    thread.start()
    thread.join()
    if failures:
        raise failures[0]
