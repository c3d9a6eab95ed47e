"""What a wire format has to be able to do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from recallr_litellm.core.messages import Message
from recallr_litellm.formats.deltas import Json
from recallr_litellm.json_text import parsed

Body = dict[str, Any]
"""A request body, parsed. Its shape is the client's doing: anything may be missing or of another type."""


@dataclass(frozen=True, slots=True)
class Conversation:
    """What a request says, without system messages and without messages that hold nothing."""

    messages: tuple[Message, ...]
    user: str | None = None
    """The user id in the body, if there is one."""
    uses_tools: bool = False
    """The model may answer with tool calls, so that the turn may go on in further requests."""
    history_elsewhere: bool = False
    """The provider keeps the messages before these and shows them to the model itself."""

    @property
    def question(self) -> str:
        """The text of the last user message: what memory is searched for."""
        return next((message.text for message in reversed(self.messages) if message.role == "user"), "")

    @property
    def turn(self) -> str:
        """Names the turn: equal in the request that opens it and in those that go on with tool results."""
        return next((message.fingerprint for message in reversed(self.messages) if message.role == "user"), "")

    @property
    def continues_turn(self) -> bool:
        """True when the request brings tool results for a turn that an earlier request opened."""
        return bool(self.messages) and self.messages[-1].role == "tool"


@dataclass(frozen=True, slots=True)
class Reply:
    """The model's answer as far as the client has it."""

    messages: tuple[Message, ...] = ()
    """One message for each choice (`n`), in order; empty ones left out."""
    complete: bool = False
    """The provider said that every choice is finished."""


class StreamReader(Protocol):
    """Puts a streamed answer together, event by event, into the object that the same call returns unstreamed."""

    def feed(self, data: str) -> None:
        """Take the `data` of one server-sent event. Never raises on odd input."""

    @property
    def complete(self) -> bool:
        """The provider said that every choice is finished; usage may follow. Cheap: asked after each event."""

    @property
    def ended(self) -> bool:
        """The last event of the format has come. Cheap."""

    @property
    def whole(self) -> Json | None:
        """The object as far as it has come, with fields that are not known here; None where nothing has come.

        What broke off has no finish reason.
        """


class Format(Protocol):
    """One wire format. Every method accepts any JSON and leaves alone what it does not understand."""

    call_types: frozenset[str]
    """LiteLLM's names for requests of this format."""

    def read(self, body: Mapping[str, Any]) -> Conversation | None:
        """What the client sent; None where memory cannot work: the request then passes through with status `off`."""

    def inject(self, body: Body, *, instructions: str, memory: str, into_system: bool) -> None:
        """Put instructions and memory (either may be empty) into the request.

        Instructions go to the end of the system message, memory in front of the user's own words in the
        last user message, or behind the instructions with `into_system`. All other parts of the body keep
        their identity; lists and messages that change are replaced, not written to.
        """

    def read_reply(self, body: Mapping[str, Any]) -> Reply:
        """A whole answer."""

    def stream_reader(self, body: Mapping[str, Any]) -> StreamReader:
        """A reader for the streamed answer to this request."""


def items(value: Any) -> Iterator[Mapping[str, Any]]:
    """The objects of a JSON array; nothing for any other value."""
    return (item for item in value if isinstance(item, dict)) if isinstance(value, list) else iter(())


def event_of(data: str) -> Mapping[str, Any]:
    """The object in the `data` of a server-sent event; an empty one where there is none."""
    try:
        event = parsed(data)
    except (ValueError, RecursionError):
        return {}
    return event if isinstance(event, dict) else {}


def reply_of(messages: Sequence[Message], *, complete: bool) -> Reply:
    """An answer without the messages that hold nothing."""
    return Reply(tuple(message for message in messages if not message.empty), complete=complete)
