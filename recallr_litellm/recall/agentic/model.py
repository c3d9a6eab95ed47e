"""The model that searches, as far as the search knows it: OpenAI's tool calling.

https://platform.openai.com/docs/guides/function-calling
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

ChatMessage = dict[str, Any]
"""A message in the shape of OpenAI's chat completions."""


@dataclass(frozen=True, slots=True)
class ToolRequest:
    """A tool that the model wants to be run."""

    id: str
    name: str
    arguments: str
    """As the model wrote them: usually, but not surely, a JSON object."""


@dataclass(frozen=True, slots=True)
class Completion:
    """An answer of the model."""

    message: ChatMessage
    """The whole answer, to be sent back as it came: providers hide in it what they want to see again (signatures
    of thoughts, for one)."""
    requests: tuple[ToolRequest, ...] = ()
    tokens: int = 0
    """Of the call, both ways."""


class Complete(Protocol):
    """Asks the model."""

    async def __call__(
        self, messages: Sequence[ChatMessage], tools: Sequence[dict[str, Any]], *, max_tokens: int
    ) -> Completion:
        """The model's answer to a conversation.

        Args:
            tools: definitions of the tools that the model may ask for.
            max_tokens: most tokens of the answer.

        Raises:
            ModelUnavailable: there is no answer, or none that can be read.
        """
        ...
