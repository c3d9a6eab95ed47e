"""Messages of a conversation, independent of any provider's wire format."""

from __future__ import annotations

import hashlib
import json
from functools import cached_property
from typing import Literal

from pydantic import BaseModel, ConfigDict

Role = Literal["user", "assistant", "tool"]
"""System and developer messages have no role here: they are never stored."""


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
    text: str = ""
    """What was said, whole. Empty when there was no text (images only, tool calls only)."""
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None
    """For `role="tool"`: the call that this answers."""
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
        """
        parts = [
            self.role,
            " ".join(self.text.split()),
            [[call.id, call.name, "".join(call.arguments.split())] for call in self.tool_calls],
            self.tool_call_id,
            list(self.attachments),
        ]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


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
    partial: bool = False
    """An answer of which the client saw only this beginning."""
    message: Message
