"""The prompt that asks once more for an answer that could not be read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

_REPAIR = (
    "That cannot be read. Write the answer again: one JSON object {shape}, nothing before it and nothing after it."
)
_SHOWN = 2_000


def messages(asked: Sequence[dict[str, Any]], answer: str, shape: str) -> list[dict[str, Any]]:
    """The chat to send.

    Args:
        asked: the chat before.
        answer: what the model wrote.
        shape: of what is wanted, such as `{"facts": […]}`.
    """
    return [
        *asked,
        {"role": "assistant", "content": answer[:_SHOWN] or "…"},
        {"role": "user", "content": _REPAIR.format(shape=shape)},
    ]
