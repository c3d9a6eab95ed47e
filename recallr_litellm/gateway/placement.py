"""Where memory may stand in a request, and how much of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from recallr_litellm.core.room import Model, request_tokens, room
from recallr_litellm.formats import Conversation, Format
from recallr_litellm.formats.base import NOT_READ, items


@dataclass(frozen=True, slots=True)
class Placement:
    """What a request has place for."""

    refused: str = ""
    """Why memory has no place in the request."""
    instructions: str = ""
    """How to use the memory block; "" where they are not wanted or have no room."""
    room: int | None = None
    """Most tokens of the block by the model's window; None where that is no bound."""
    takes_system: bool = True
    """The model takes system messages in this request; else the instructions stand in front of the block."""

    def inject(
        self, format: Format, body: dict[str, Any], memory: str, *, into_system: bool, words_behind: int
    ) -> bool:
        """Put the memory block, which may be empty, and the instructions into a request; False: there is nothing."""
        instructions = self.instructions
        if not self.takes_system:
            memory = "\n\n".join(filter(None, (instructions, memory))) if memory else ""
            instructions, into_system = "", False
        if self.refused or not (instructions or memory):
            return False
        format.inject(
            body, instructions=instructions, memory=memory, into_system=into_system, words_behind=words_behind
        )
        return True


def place(
    model: Model,
    conversation: Conversation,
    body: dict[str, Any],
    *,
    size: int | None,
    instructions: str,
    context_tokens: int,
    count_tokens: Callable[[str], int],
) -> Placement:
    """What a request has place for.

    Args:
        size: bytes of the request; None where that is not known.
        instructions: how to use the memory block; "" where they are not wanted.
        context_tokens: most tokens of the block.
    """
    refused = conversation.no_place or ("" if model.answers_in_text else NOT_READ)
    if refused:
        return Placement(refused)
    left = room(
        model,
        size=size,
        max_tokens=conversation.max_tokens,
        wanted=context_tokens + len(instructions) // 2,  # more than they take; they are counted near the limit only
        count=lambda: request_tokens(body, count_tokens),
    )
    if left is not None and instructions:
        cost = count_tokens(instructions)
        if 2 * cost > left:  # the block says by itself what it is
            instructions = ""
        else:
            left -= cost
    beside_cache = model.caches_apart and not conversation.system and _marks_messages(body)
    return Placement("", instructions, left, model.takes_system and not beside_cache)


def _marks_messages(body: dict[str, Any]) -> bool:
    """Whether a message, or a part of one, is marked for caching (`cache_control`)."""
    messages = list(items(body.get("messages")))
    parts = (part for message in messages for part in items(message.get("content")))
    return any(each.get("cache_control") for each in (*messages, *parts))
