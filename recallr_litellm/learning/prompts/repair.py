"""The prompts that ask once more for an answer: one that could not be read, or facts in another language."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

_REPAIR = (
    "That cannot be read. Write the answer again: one JSON object {shape}, nothing before it and nothing after it."
)
_LANGUAGE = (
    "Some of these texts are not in the language of the message that they rest on. Write the whole answer again: the "
    "same facts, each text and its questions in the language of its message."
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


def in_their_language(asked: Sequence[dict[str, Any]], answer: str) -> list[dict[str, Any]]:
    """The chat to send where facts are in another language than what they rest on.

    Args:
        asked: the chat before.
        answer: what the model wrote.
    """
    return [*asked, {"role": "assistant", "content": answer}, {"role": "user", "content": _LANGUAGE}]
