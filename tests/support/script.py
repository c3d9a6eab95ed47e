"""What the stand-in provider was told to answer, and what it was asked."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field


class ToolCall(BaseModel):
    """A function call in an answer."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    arguments: str = "{}"
    """JSON text, as models write it."""
    id: str | None = None
    """Made up if not given."""


class Answer(BaseModel):
    """How the provider behaves for a request. Every field has a default; say only what the test is about.

        Answer(text="Blue.")                            an answer, whole or streamed as the request asks
        Answer(status=429)                              an error in OpenAI's shape
        Answer(text="one two three", hang_after=2)      two chunks of content, and the rest when the test says so
        Answer(when="my cat", text="Felix.")            for every request whose last user message says "my cat"

    Answers without `when` and `model` are used once each, in the order they were given. Those with
    one of them are rules: they hold until they are cleared (or for `times` requests), come before
    the queue, and suit concurrent traffic, in which there is no order.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    when: str | None = None
    """Part of the last user message. Of several rules that match, the one whose text stands last in the
    message wins: an injected memory block stands before the user's own words, and may quote older ones."""
    model: str | None = None
    """Only for requests for this model, as the provider sees its name."""
    times: Annotated[int | None, Field(ge=1)] = None
    """How often a rule is used; afterwards it is gone. None: for ever."""

    text: str | None = None
    """The answer. None: the last line of the last user message, quoted. With n > 1 and no `choices`,
    every choice but the first has its number appended."""
    choices: tuple[str, ...] = ()
    """One text per choice, whatever `n` the request has."""
    tool_calls: tuple[ToolCall, ...] = ()
    """Asked for in every choice; the content is then null unless `text` is given."""
    finish_reason: str | None = None
    """None: `tool_calls` or `stop`."""

    status: int = 200
    """400 and above: an error in OpenAI's shape, with the right type and code for 400, 401, 403, 404, 429, 500."""
    message: str = "Scripted error."
    """Message of the error."""
    headers: dict[str, str] = Field(default_factory=dict)
    """Added to the response, e.g. `retry-after`."""
    raw: str | None = None
    """Sent as the body as it stands, with `status`; for malformed answers."""

    chunks: Annotated[int | None, Field(ge=1)] = None
    """Content chunks of a stream, as even as can be. None: one per word."""
    hang: bool = False
    """Do not answer until the test calls `release` or `drop` on the provider, or the client has gone."""
    hang_after: Annotated[int | None, Field(ge=0)] = None
    """Stream: the same, after so many content chunks. The way to break or resume a stream at a known place:
    read what has come, then `drop` or `release`."""

    @property
    def is_rule(self) -> bool:
        """True when it holds for the requests it matches, False when it is the next in the queue."""
        return self.when is not None or self.model is not None

    @property
    def is_error(self) -> bool:
        """True when the provider refuses."""
        return self.status >= 400


@dataclass(frozen=True)
class Recorded:
    """A request as it reached the provider."""

    __pydantic_config__ = ConfigDict(ser_json_bytes="base64", val_json_bytes="base64")

    method: str
    path: str
    headers: dict[str, str]
    """Names in lower case."""
    body: bytes
    """Byte for byte."""

    @property
    def json(self) -> Any:
        """The body, parsed. Raises ValueError if it is not JSON."""
        return json.loads(self.body)

    @property
    def model(self) -> str:
        """The model asked for."""
        return str(self.json["model"])

    @property
    def messages(self) -> list[dict[str, Any]]:
        """The chat messages."""
        messages: list[dict[str, Any]] = self.json["messages"]
        return messages

    @property
    def user_text(self) -> str:
        """Text of the last user message, injected memory included; "" if there is none."""
        return last_user_text(self.json)


@dataclass
class Script:
    """Chooses the answer for a request."""

    queue: list[Answer] = field(default_factory=list)
    rules: list[Answer] = field(default_factory=list)

    def add(self, answers: list[Answer]) -> None:
        """Queue those without a condition, keep the others as rules."""
        for answer in answers:
            (self.rules if answer.is_rule else self.queue).append(answer)

    def take(self, user_text: str, model: str) -> Answer:
        """The answer for a request with this last user message, for this model; used up where it is to be used up."""
        rule = self._rule(user_text, models=(None, model))
        if rule is not None:
            return rule
        return self.queue.pop(0) if self.queue else Answer()

    def rule_for(self, text: str, model: str) -> Answer | None:
        """The rule for texts to be embedded: only one that names their model, and of it `hang` and `status`."""
        return self._rule(text, models=(model,))

    def _rule(self, user_text: str, *, models: tuple[str | None, ...]) -> Answer | None:
        matching = [
            (user_text.rfind(rule.when or ""), -number)
            for number, rule in enumerate(self.rules)
            if (rule.when is None or rule.when in user_text) and rule.model in models
        ]
        if not matching:
            return None
        number = -max(matching)[1]
        rule = self.rules[number]
        if rule.times == 1:
            del self.rules[number]
        elif rule.times is not None:
            self.rules[number] = rule.model_copy(update={"times": rule.times - 1})
        return rule


def text_of(message: dict[str, Any]) -> str:
    """Text of a chat message, its text parts joined by newlines."""
    content = message.get("content")
    if isinstance(content, list):
        return "\n".join(part["text"] for part in content if part.get("type") == "text")
    return content or ""


def last_user_text(body: dict[str, Any]) -> str:
    """Text of the last user message of a chat request, "" if it has none."""
    users = [message for message in body.get("messages", ()) if message["role"] == "user"]
    return text_of(users[-1]) if users else ""
