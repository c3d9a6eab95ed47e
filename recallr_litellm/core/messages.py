"""Messages of a conversation, independent of any provider's wire format."""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from functools import cached_property
from typing import Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

Role = Literal["user", "assistant", "tool"]
"""System and developer messages have no role here: they are never stored."""


_SAMPLE = 1_000
"""Characters at either end of a tool result that its fingerprint is made of. Fewer than are kept of it."""
_NORMALISED_CHARACTERS = 64_000
_OVERHEAD = 300
"""Bytes that a stored message takes besides its text."""
_NO_WORD = re.compile(r"[\W_]+")


class ToolCall(BaseModel):
    """A function call that the model asked for."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    id: str = ""
    name: str = ""
    arguments: str = ""
    """As the model wrote them: usually, but not surely, JSON."""


class Message(BaseModel):
    """One message as the client sent it or the model answered it."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    role: Role
    name: str = ""
    """Who of several people says it, where the client tells them apart."""
    text: str = ""
    """What was said, whole (a stored one within `core.bounds`). Empty when there was no text (images, tool calls)."""
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None
    """For `role="tool"`: the call that this answers."""
    parts: tuple[str, ...] = Field(default=(), exclude=True, repr=False)
    """The text parts as the client sent them, where there are several. Not stored."""
    attachments: tuple[str, ...] = ()
    """Types of the content parts that are not text (`image_url`, `input_audio`, …), in order.
    Their bytes are not kept."""

    @property
    def empty(self) -> bool:
        """True when there is nothing to remember in it."""
        return not (self.text.strip() or self.tool_calls or self.attachments or self.tool_call_id)

    @cached_property
    def fingerprint(self) -> str:
        """16 hex characters, equal for two copies of the same message.

        Clients send an assistant's answer back trimmed, re-indented or as content parts, so white
        space does not count; tool call ids do, since they are what results refer to.

        An agent sends all its tool results again in each step: of a long one, and of long arguments, only the
        beginning and the end count. Of other texts past 64,000 characters the white space counts too.
        """
        long = self.role != "tool" and len(self.text) > _NORMALISED_CHARACTERS
        text = _digest(self.text.strip()) if long else _spaced(_ends(self.text) if self.role == "tool" else self.text)
        if not (self.tool_calls or self.attachments) and self.tool_call_id is None:  # most: as below, in half the time
            return _digest(f"[{json.dumps(self._speaker)}, {json.dumps(text)}, [], null, []]")[:16]
        parts = [
            self._speaker,
            text,
            [[call.id, call.name, "".join(_ends(call.arguments).split())] for call in self.tool_calls],
            self.tool_call_id,
            list(self.attachments),
        ]
        return _digest(json.dumps(parts))[:16]

    @cached_property
    def likeness(self) -> str:
        """16 hex characters, equal for two copies of a message of which a client has rewritten one; "" where nothing
        of it would be left.

        Tool results and calls are known by the ids of the calls, whatever became of their texts. Of other texts the
        letters and digits count, of long ones those at either end: not marks, composition, or what was attached.
        """
        calls = [(call.id, call.name) for call in self.tool_calls if call.id]
        if self.role == "tool" or calls:
            kept = [self.tool_call_id, *calls] if self.tool_call_id or calls else []
        else:
            kept = list(filter(None, [_letters(self.text)]))
        return _digest(json.dumps([self._speaker, kept]))[:16] if kept else ""

    @property
    def _speaker(self) -> str:
        return f"{self.role} {self.name}" if self.name else self.role

    @property
    def hashed_characters(self) -> int:
        """How much text its fingerprint is made of."""
        text = len(self.text) if self.role != "tool" else min(len(self.text), 2 * _SAMPLE)
        return text + sum(min(len(call.arguments), 2 * _SAMPLE) for call in self.tool_calls)


def _spaced(text: str) -> str:
    return " ".join(composed(text).split())


def composed(text: str) -> str:
    """Unicode's normal form C: the same letters in the same characters."""
    return text if text.isascii() else unicodedata.normalize("NFC", text)


def _ends(text: str) -> str:
    """The text, or the beginning and the end of a long one."""
    return text if len(text) <= 2 * _SAMPLE else f"{text[:_SAMPLE]} … {text[-_SAMPLE:]}"


def _letters(text: str) -> str:
    """The letters and digits of a text, or the first and the last of a long one."""
    if len(text) <= 8 * _SAMPLE:
        return _NO_WORD.sub("", unicodedata.normalize("NFKC", text))
    return f"{_letters(text[: 4 * _SAMPLE])[:_SAMPLE]} {_letters(text[-4 * _SAMPLE :])[-_SAMPLE:]}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()


class MessageEntry(NamedTuple):
    """What matching a request against its session needs to know of a stored message."""

    id: str
    position: int
    exchange: str
    parent: str | None
    role: Role
    partial: bool
    fingerprint: str
    size: int
    """Bytes that the message takes in Redis, about."""
    likeness: str = ""
    """"" of a message stored by version 0.2.0 or earlier."""

    @property
    def content_bytes(self) -> int:
        """Bytes of its text and of the arguments of its tool calls."""
        return self.size - _OVERHEAD


class StoredMessage(BaseModel):
    """A message in its place in a session.

    A session is a forest: `parent` is the message that the client's own history showed before
    this one. A client that sends only its newest message makes a new root each time.
    """

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    id: str
    """32 hex characters, derived from the exchange that brought it, so a repeated write is the same message."""
    exchange: str
    """Request id of the exchange that stored it."""
    position: int
    """Order within the session, ascending, unique, not always dense."""
    parent: str | None = None
    at: int
    """When it was said, milliseconds since the epoch, UTC."""
    timezone: str = ""
    """In which it was said, for what "yesterday" means; its IANA name, "" for UTC."""
    partial: bool = False
    """An answer of which the client saw only this beginning."""
    message: Message

    @property
    def entry(self) -> MessageEntry:
        """What a request reads of it to match its history."""
        message = self.message
        texts = (message.text, *(call.arguments for call in message.tool_calls))
        return MessageEntry(
            id=self.id,
            position=self.position,
            exchange=self.exchange,
            parent=self.parent,
            role=message.role,
            partial=self.partial,
            fingerprint=message.fingerprint,
            size=_OVERHEAD + sum(map(utf8_bytes, texts)),
            likeness=message.likeness,
        )


def utf8_bytes(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode(errors="surrogatepass"))
