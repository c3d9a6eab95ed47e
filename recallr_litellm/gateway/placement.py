"""Where memory may stand in a request, and how much of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

from recallr_litellm.core.laid import LaidBlock, Position
from recallr_litellm.core.room import Model, request_tokens, room
from recallr_litellm.formats import Conversation, Format
from recallr_litellm.formats.base import NOT_READ, Injection, items
from recallr_litellm.formats.chat import SYSTEM_ROLES


@dataclass(frozen=True, slots=True)
class Placement:
    """What a request has place for."""

    refused: str = ""
    """Why memory has no place in the request."""
    instructions: str = ""
    """How to use the memory block; "" where they are not wanted or have no room."""
    room: int | None = None
    """Most tokens of all blocks by the model's window; None where that is no bound."""
    takes_system: bool = True
    """The model takes system messages in this request; else the instructions stand in front of the block."""

    def inject(
        self, format: Format, body: dict[str, Any], blocks: Mapping[int, LaidBlock], *, into_system: bool
    ) -> bool:
        """Put memory blocks and the instructions into a request; False: there is nothing.

        Args:
            blocks: by the number of user messages behind theirs.
        """
        instructions, texts = self.instructions, {behind: block.text for behind, block in blocks.items() if block.text}
        oldest = max(texts, default=0)
        if not self.takes_system:
            if texts:
                texts[oldest] = "\n\n".join(filter(None, (instructions, texts[oldest])))
            instructions, into_system = "", False
        if self.refused or not (instructions or texts):
            return False
        for behind in sorted(texts, reverse=True) or [0]:  # a message that is added for one moves those before it
            format.inject(
                body,
                Injection(
                    instructions if behind == oldest else "",
                    texts.get(behind, ""),
                    into_system,
                    behind,
                    blocks[behind].position if behind in blocks else "front",
                ),
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
        context_tokens: most tokens of all blocks.
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


def position_of(body: dict[str, Any], words_behind: int) -> Position:
    """Where a new block stands at the user message that `words_behind` others follow: behind what the client marks for
    caching there, since what is cached up to a mark is found again only if nothing in it has changed."""
    messages = list(items(body.get("messages")))
    of_user = [index for index, message in enumerate(messages) if message.get("role") == "user"]
    if words_behind >= len(of_user):
        return "front"
    index = of_user[-1 - words_behind]
    following = takewhile(lambda message: message.get("role") in SYSTEM_ROLES, messages[index + 1 :])
    if any(map(_marked, following)):
        return "behind"
    return "end" if _marked(messages[index]) else "front"


def _marked(message: Mapping[str, Any]) -> bool:
    """Whether a message, or a part of it, is marked for caching (`cache_control`)."""
    return any(each.get("cache_control") for each in (message, *items(message.get("content"))))


def _marks_messages(body: dict[str, Any]) -> bool:
    return any(map(_marked, items(body.get("messages"))))
