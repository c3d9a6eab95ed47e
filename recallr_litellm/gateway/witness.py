"""What LiteLLM's logging callbacks say of a request: the second witness, beside the answer on the wire.

The wire comes first: it shows what the client gets, for every request, before the response ends. The events supply what
the wire lacks; they may come later, twice or never.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from recallr_litellm.core.messages import Message
from recallr_litellm.formats.answers import format_of
from recallr_litellm.formats.deltas import Json
from recallr_litellm.litellm_host.events import answer_of, call_id, usage_of
from recallr_litellm.logs import Once

_log = logging.getLogger(__name__)
_FAULTS = Once()

PATIENCE_SECONDS = 3.0
"""Longest wait for an event after the end of the response. Events come within milliseconds, or not at all."""

Event = tuple[Mapping[str, Any], Any]
"""`kwargs` and `response_obj` of a success event."""
Read = TypeVar("Read")


class Witness:
    """What the events of one request have said so far.

    Args:
        id: LiteLLM's id of the call. Events of other calls within the request are ignored.
    """

    def __init__(self, id: str) -> None:
        self._id = id
        self._event: Event | None = None
        self._told = asyncio.Event()

    def begin(self, arguments: Mapping[str, Any]) -> None:
        """A provider is called. Where one was before, its failure was not the end."""
        if call_id(arguments) == self._id:
            self._told.clear()

    def succeed(self, arguments: Mapping[str, Any], response: Any) -> None:
        """Take a success event."""
        if call_id(arguments) == self._id:
            self._event = (arguments, response)
            self._told.set()

    def fail(self, arguments: Mapping[str, Any]) -> None:
        """Take a failure event."""
        if call_id(arguments) == self._id:
            self._event = None
            self._told.set()

    async def wait(self) -> None:
        """Return when an event has come, or after `PATIENCE_SECONDS`."""
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                await self._told.wait()
        except TimeoutError:
            _log.debug("No event of LiteLLM's has come")

    @property
    def told(self) -> bool:
        """An event has come for the last call of the provider."""
        return self._told.is_set()

    @property
    def failed(self) -> bool:
        """That event is a failure."""
        return self.told and self._event is None

    @property
    def answer(self) -> Json | None:
        """The answer in the shape in which LiteLLM holds it. None where no event has its texts."""
        return self._read(lambda event: answer_of(*event))

    @property
    def usage(self) -> Json | None:
        """Tokens that were used, as chat completions have them."""
        return self._read(lambda event: usage_of(event[1]))

    @property
    def replies(self) -> tuple[Message, ...]:
        """The messages of the answer."""

        def read(event: Event) -> tuple[Message, ...]:
            answer = answer_of(*event) or {}
            format = format_of(answer)
            return format.read_reply(answer).messages if format is not None else ()

        return self._read(read) or ()

    def _read(self, what: Callable[[Event], Read]) -> Read | None:
        if self._event is None:
            return None
        try:
            return what(self._event)
        except Exception as error:  # noqa: BLE001 - whatever an odd object raises, the answer is the client's already
            if _FAULTS.first(type(error).__name__):  # only the type: the texts of pydantic's errors hold what was said
                _log.error("A success event of LiteLLM cannot be read: %s", type(error).__name__)
            return None
