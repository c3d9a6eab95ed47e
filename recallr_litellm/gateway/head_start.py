"""A recall that begins before LiteLLM has prepared the request, and what it is compared with when that is done."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Coroutine
from dataclasses import dataclass
from typing import Any

from recallr_litellm.core.options import RecallOptions
from recallr_litellm.core.owner import Owner
from recallr_litellm.core.recalled import Recalled
from recallr_litellm.formats import Conversation
from recallr_litellm.gateway.reading import Reading
from recallr_litellm.recall.trace import Trace


@dataclass(frozen=True, slots=True)
class MemoryQuery:
    """What memory is searched for."""

    owner: Owner
    question: str
    previous: str
    """What the user said before, in the request."""
    options: RecallOptions


class HeadStart:
    """What was begun for one request: it is read, and its memory is searched where there is something to search for."""

    def __init__(self, reading: Reading) -> None:
        self._reading = reading
        self._query: MemoryQuery | None = None
        self._task: asyncio.Task[Recalled | None] | None = None
        self._trace: Trace | None = None

    def search(self, query: MemoryQuery, found: Coroutine[Any, Any, Recalled | None], trace: Trace | None) -> None:
        """Begin to search.

        Args:
            found: what the search finds; None where nothing may be searched.
            trace: that of the search.
        """
        self._query, self._trace = query, trace
        self._task = asyncio.create_task(found)
        self._task.add_done_callback(_looked_at)

    def reading_of(self, body: dict[str, Any], call_type: str) -> Reading | None:
        """What was read in the request, if that is still what it was."""
        return self._reading if self._reading.is_of(body, call_type) else None

    async def recalled(self, query: MemoryQuery, seen: Collection[str], trace: Trace | None) -> Recalled | None:
        """What was recalled; None where that was something else, or where sessions are to be left out, for the model
        sees them anyway, of which it has found something.

        Args:
            trace: gets what was noted of the search.

        Raises:
            RecallrError: of the search.
        """
        if self._task is None:
            return None
        if query != self._query:
            self._task.cancel()
            return None
        found = await self._task
        if found is None or not found.searched.isdisjoint(seen):
            return None
        if trace is not None and self._trace is not None:
            trace.adopt(self._trace)
        return found

    def cancel(self) -> None:
        """Stop searching, if that goes on."""
        if self._task is not None:
            self._task.cancel()


def previous_in(conversation: Conversation) -> str | None:
    """What the user said before the question, as far as the request says; None where it may be the first."""
    said = [message.text for message in conversation.messages if message.role == "user"]
    return said[-2] if len(said) > 1 else None


def _looked_at(task: asyncio.Task[Recalled | None]) -> None:
    """So that nobody is told of an exception for which no request waited."""
    if not task.cancelled():
        task.exception()
