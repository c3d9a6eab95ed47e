"""How many tokens a model's window leaves for memory."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

_MARGIN = 1.1
"""Other tokenizers than the one that counts make up to this many times as many tokens of a text."""

_LONG_BYTES = 32_000
_LONG_BYTES_PER_TOKEN = 2
"""Of a request longer than that; of a shorter one a token may be a single byte."""

_SLICE = 1_000
_EXACT_SLICES = 48
_SAMPLED_SLICES = 24
"""A longer text is counted by this many slices of it: counting takes about 0.2 ms for a thousand characters."""

_TOKENS_PER_OBJECT = 4
"""What the marks around a message take."""

_BLOB = re.compile(r"data:[^\s]{1000}|[A-Za-z0-9+/_=-]{1000}")
_BLOB_TOKENS = 1_600
"""Of a picture; a smaller blob, such as the signature of a thought, has one for each 8 characters."""

_CONTENT = (
    *("messages", "system", "prompt", "input", "instructions", "contents", "systemInstruction", "system_instruction"),
    *("tools", "functions", "response_format", "text", "generationConfig"),
)
"""Fields of a body that the model reads, in all formats."""


@dataclass(frozen=True, slots=True)
class Model:
    """What is known of the model that a request names; several deployments may stand behind the name."""

    windows: tuple[int, ...] = ()
    """Tokens that each deployment takes, smallest first; of those of which it is known."""
    max_tokens: int = 0
    """Most tokens of an answer, where the request does not say and a deployment does."""
    takes_system: bool = True
    """Each deployment takes system messages."""
    caches_apart: bool = False
    """A deployment keeps messages that are marked for caching apart, and takes no system message beside them."""
    answers_in_text: bool = True
    """Each deployment takes text as part of a conversation, not to be spoken or drawn."""


def room(
    model: Model, *, size: int | None, max_tokens: int | None, wanted: int, count: Callable[[], int]
) -> int | None:
    """Tokens that are left beside a request and its answer, at least 0; None: as many as are wanted, or unknown.

    Args:
        size: bytes of the request; None where that is not known.
        max_tokens: most tokens of the answer, as the request has it.
        wanted: tokens.
        count: tokens of the request; called only near the limit.
    """
    if not model.windows:
        return None
    answer = max_tokens or model.max_tokens
    smallest = model.windows[0]
    if size is not None:
        most = size if size <= _LONG_BYTES else size // _LONG_BYTES_PER_TOKEN
        if most + _beside(answer, smallest) + _MARGIN * wanted <= smallest:
            return None
    tokens = count()
    # A request that is too long for a deployment is none of its concern. One that is surely too long for all of them
    # goes to a larger model, or fails with memory and without.
    if tokens > _MARGIN * model.windows[-1]:
        return None
    window = next((window for window in model.windows if tokens <= window), 0)
    return max(0, int((window - _beside(answer, window)) / _MARGIN) - tokens)


def _beside(answer: int, window: int) -> int:
    """What an answer takes of a window. One that takes all of it cannot be meant to: the provider counts it apart."""
    return answer if answer < window else 0


def request_tokens(body: dict[str, Any], count_tokens: Callable[[str], int]) -> int:
    """Tokens of a request, whatever its format; of a long one an estimate.

    Args:
        count_tokens: tokens of a text.
    """
    texts, other = [], 0
    for piece in _pieces([body[field] for field in _CONTENT if field in body]):
        if isinstance(piece, int):
            other += piece
        elif _BLOB.match(piece):
            other += min(_BLOB_TOKENS, len(piece) // 8)
        else:
            texts.append(piece)
    text = "\n".join(texts)
    starts = range(0, len(text), _SLICE)
    step = 1 if len(starts) <= _EXACT_SLICES else -(-len(starts) // _SAMPLED_SLICES)
    counted = [text[start : start + _SLICE] for start in starts[::step]]
    characters = sum(map(len, counted)) or 1
    return other + -(-sum(map(count_tokens, counted)) * len(text) // characters)


def _pieces(values: list[Any]) -> Iterator[str | int]:
    """The texts in a JSON value, keys among them, and tokens of what is around them."""
    while values:
        value = values.pop()
        if isinstance(value, str):
            yield value
        elif isinstance(value, list):
            values += value
        elif isinstance(value, dict):
            yield _TOKENS_PER_OBJECT
            yield from (key for key in value if isinstance(key, str))
            values += value.values()
