"""What is read in a request, off the event loop where it is much."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from recallr_litellm.core.messages import Message
from recallr_litellm.formats import Conversation

_READ_AT_ONCE = 200_000
"""Characters of a request's history that are read and hashed on the event loop: about a millisecond's work."""
_MISSING = object()


@dataclass(frozen=True, slots=True)
class Reading:
    """A request as it came, and what is read in it."""

    call_type: str
    body: dict[str, Any]
    conversation: Conversation
    """With all that the client sent."""
    own: Conversation
    """With the user's own words only."""

    def is_of(self, body: dict[str, Any], call_type: str) -> bool:
        """Whether a request is still what it was: only fields were added."""
        return call_type == self.call_type and all(
            body.get(name, _MISSING) == value for name, value in self.body.items()
        )


async def own_words(conversation: Conversation, client_tags: Collection[str]) -> Conversation:
    """A conversation with the user's own words only (`Conversation.of_the_user`)."""
    own = partial(conversation.of_the_user, client_tags)
    said = sum(len(message.text) for message in conversation.messages if message.role == "user")
    return await asyncio.to_thread(own) if said > _READ_AT_ONCE else own()


async def hashed(messages: Sequence[Message]) -> None:
    """Make the fingerprints of the messages."""
    if sum(message.hashed_characters for message in messages) > _READ_AT_ONCE:
        await asyncio.to_thread(lambda: [message.fingerprint for message in messages])
