"""Conversations of other programs as sessions of ours, one module a program.

    for kind in FORMATS.values():
        if kind.is_one(value):
            for conversation in kind.read(value, "item 1"):
                ...

What people and assistants said is taken, with its dates; what served the program (system texts, the model's thoughts,
calls and results of its tools) is not. A conversation that is not as its program writes it raises `InvalidImport`,
which names the place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from recallr_litellm.services.transfer.readers import chatgpt, claude, locomo, messages
from recallr_litellm.services.transfer.readers.base import Conversation

__all__ = ["FORMATS", "Conversation", "Format"]


@dataclass(frozen=True, slots=True)
class Format:
    """How a program writes conversations."""

    description: str
    is_one: Callable[[Any], bool]
    """Whether an item of a file looks like it."""
    read: Callable[[Any, str], Iterator[Conversation]]
    """The conversations of an item that stands at a place."""


FORMATS: Final[Mapping[str, Format]] = {
    "chatgpt": Format("ChatGPT's conversations.json", chatgpt.is_one, chatgpt.read),
    "claude": Format("Claude's conversations.json", claude.is_one, claude.read),
    "locomo": Format("LoCoMo", locomo.is_one, locomo.read),
    "messages": Format("lists of messages, OpenAI's or with text and at", messages.is_one, messages.read),
}
