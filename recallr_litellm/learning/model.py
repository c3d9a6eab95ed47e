"""The model that learns, as far as learning knows it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class Written:
    """What a model wrote."""

    text: str
    cut_off: bool = False
    """It ran out of tokens."""
    tokens: int = 0
    """Of the call, both ways."""


class WriteJson(Protocol):
    """Asks the model for JSON."""

    async def __call__(
        self, messages: Sequence[dict[str, Any]], schema: dict[str, Any], *, name: str, max_tokens: int
    ) -> Written:
        """The model's answer, which mostly follows the schema.

        Args:
            messages: in OpenAI's shape.
            name: of what is asked for.
            max_tokens: most tokens of the answer.

        Raises:
            ModelBusy: it answered 429.
            ModelUnavailable: it failed.
            ModelRefused: it does not take this text.
        """
        ...
