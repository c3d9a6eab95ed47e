"""What a wire format has to be able to do."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from recallr_litellm.core.helper_calls import CallShape
from recallr_litellm.core.laid import Position
from recallr_litellm.core.messages import Message
from recallr_litellm.core.own_words import own_words, repeated_blocks, said_to_tool
from recallr_litellm.formats.deltas import Json
from recallr_litellm.json_text import parsed

CACHED_CONTENT = "cached content allows no system instruction"
NOT_READ = "text to be spoken or drawn"

Body = dict[str, Any]
"""A request body, parsed. Its shape is the client's doing: anything may be missing or of another type."""


@dataclass(frozen=True, slots=True)
class Injection:
    """What is put into a request: instructions at the end of the system message, memory beside the user's words."""

    instructions: str = ""
    memory: str = ""
    into_system: bool = False
    """Memory stands behind the instructions."""
    words_behind: int = 0
    """User messages that stand behind the one with the memory."""
    position: Position = "front"
    """Of the memory. Formats whose clients mark nothing for caching know the front only."""

    @property
    def beside_words(self) -> str:
        """What stands beside the user's words."""
        return "" if self.into_system else self.memory

    @property
    def to_system(self) -> str:
        """What stands at the end of the system message."""
        return "\n\n".join(filter(None, (self.instructions, self.memory if self.into_system else "")))


@dataclass(frozen=True, slots=True)
class Conversation:
    """What a request says, without system messages and without messages that hold nothing."""

    messages: tuple[Message, ...]
    """As a format reads them, every user message of the body is among them, and holds what the client put there for
    the model. `of_the_user` leaves the user's own words."""
    user: str | None = None
    """The user id in the body, if there is one."""
    uses_tools: bool = False
    """The model may answer with tool calls, so that the turn may go on in further requests."""
    history_elsewhere: bool = False
    """The provider keeps the messages before these and shows them to the model itself."""

    system: str = ""
    """Text of the system messages."""
    max_tokens: int | None = None
    """Most tokens of the answer."""
    no_place: str = ""
    """Why memory has no place in the request."""
    has_suffix: bool = False
    """A completion is to be put in front of a `suffix`."""
    words_behind: int = 0
    """User messages of the body that stand behind the one with the user's last own words."""
    users_behind: tuple[int, ...] = ()
    """Of each user message in `messages`, from the last: how many of the body's user messages stand behind it."""
    raw_question: str = ""
    """Text of the last user message, where no user message holds the user's own words."""

    @property
    def behind(self) -> dict[int, int]:
        """Index of each user message → how many of the body's user messages stand behind it."""
        said = [index for index, message in enumerate(self.messages) if message.role == "user"]
        return dict(zip(reversed(said), self.users_behind, strict=False))

    @property
    def question(self) -> str:
        """The user's last own words: what memory is searched for."""
        opening = self._opening
        return opening.text if opening is not None and opening.text else self.raw_question

    @property
    def turn(self) -> str:
        """Names the turn: equal in the request that opens it and in those that go on with tool results."""
        return self._opening.fingerprint if self._opening is not None else ""

    @property
    def continues_turn(self) -> bool:
        """True when all that follows the last answer is tool results and user messages without words of the user's."""
        results = False
        for message in reversed(self.messages):
            if message.role == "assistant" or (message.role == "user" and message.text):
                break
            results = results or message.role == "tool"
        return results

    @property
    def _opening(self) -> Message | None:
        """The message that opened the turn: the user's last with words, or without any the user's last."""
        said = [message for message in self.messages if message.role == "user"]
        return next((message for message in reversed(said) if message.text.strip()), said[-1] if said else None)

    def of_the_user(self, client_tags: Collection[str] = ()) -> Conversation:
        """The same without what clients put into user messages (`core/own_words.py`). What the user wrote in the result
        of a tool is said in the user message right behind it.

        Args:
            client_tags: names of further tags that clients use.
        """
        said = [message for message in self.messages if message.role == "user"]
        repeated = repeated_blocks(message.parts or (message.text,) for message in said)
        own: dict[int, Message] = {}
        tools = {call.id: call.name for message in self.messages for call in message.tool_calls}
        told: list[str] = []
        for message in self.messages:
            if message.role == "tool":
                told.append(said_to_tool(message.text, tools.get(message.tool_call_id or "", "")))
            elif message.role == "assistant":
                told.clear()
            if message.role != "user":
                continue
            words = own_words(message.parts or (message.text,), more_tags=client_tags, repeated=repeated)
            words = "\n".join(filter(None, (*told, words))) if any(told) else words
            told.clear()
            unchanged = words == message.text and not message.parts
            own[id(message)] = message if unchanged else message.model_copy(update={"text": words, "parts": ()})
        with_words = [number for number, message in enumerate(reversed(said)) if own[id(message)].text.strip()]
        kept = (own.get(id(message), message) for message in self.messages)
        return replace(
            self,
            messages=tuple(message for message in kept if not message.empty),
            words_behind=with_words[0] if with_words else 0,
            users_behind=tuple(number for number, message in enumerate(reversed(said)) if not own[id(message)].empty),
            raw_question=said[-1].text if said and not with_words else "",
        )

    @property
    def shape(self) -> CallShape:
        """What the request, as a format has read it, shows of its purpose."""
        said = [message for message in self.messages if message.role == "user"]
        return CallShape(
            system=self.system,
            first_user=said[0].text if said else "",
            last_user=_clients_parts_last(said[-1]) if said else "",
            lone=len(self.messages) == 1,
            max_tokens=self.max_tokens,
            has_suffix=self.has_suffix,
        )


def _clients_parts_last(message: Message) -> str:
    """The text of a message, the parts that are wholly a client's behind the others: the prompt of a helper call may
    stand behind a reminder."""
    return "\n".join(sorted(message.parts, key=lambda part: not own_words((part,)).strip())) or message.text


@dataclass(frozen=True, slots=True)
class Reply:
    """The model's answer as far as the client has it."""

    messages: tuple[Message, ...] = ()
    """One message for each choice (`n`), in order; empty ones left out."""
    complete: bool = False
    """The provider said that every choice is finished."""
    id: str | None = None
    """By which a later request may go on from this answer."""


class StreamReader(Protocol):
    """Puts a streamed answer together, event by event, into the object that the same call returns unstreamed."""

    def feed(self, data: str) -> None:
        """Take the `data` of one server-sent event. Never raises on odd input."""

    @property
    def complete(self) -> bool:
        """The provider said that every choice is finished; more may follow all the same."""

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

    def inject(self, body: Body, added: Injection) -> None:
        """Put instructions and memory into the request. All other parts of the body keep their identity; lists and
        messages that change are replaced, not written to.
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


def token_limit(value: Any) -> int | None:
    """A limit of tokens; None for what is none."""
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def without_empty(messages: Iterable[Message]) -> tuple[Message, ...]:
    """Without the messages that hold nothing, but with all of the user's: injection counts them."""
    return tuple(message for message in messages if message.role == "user" or not message.empty)


def reply_of(messages: Sequence[Message], *, complete: bool) -> Reply:
    """An answer without the messages that hold nothing."""
    return Reply(tuple(message for message in messages if not message.empty), complete=complete)
