"""A summary of a session without a model: its most telling sentences, in the order they were said.

The passages nearest to what the session as a whole is about (the mean of its embeddings) are
taken one by one, each less welcome the more it repeats one already taken (maximal marginal
relevance, Carbonell and Goldstein 1998).
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from recallr_litellm.core.dots import dots
from recallr_litellm.core.messages import Role
from recallr_litellm.core.passages import estimate_tokens, split
from recallr_litellm.core.stopwords import ENGLISH

MAX_SUMMARY_TOKENS = 120
"""By `estimate_tokens`, speaker labels included."""

_MAX_LINE_TOKENS = 36
"""Of a passage only one or two sentences are taken, so that there is room for four subjects or more."""

_MAX_EXAMINED = 2_000
"""Characters of a passage among which they are sought; a passage of any script is shorter."""

_MAX_TRIES = 24
"""Passages looked at; most sessions fill the summary with six."""

_NOVELTY = 0.3
"""What being unlike the lines already taken counts against being like the session."""

_LABELS: dict[Role, str] = {"user": "User", "assistant": "Assistant"}
"""Tool results are data that somebody looked at; what mattered of them was then said."""

_ASSISTANT_WEIGHT = 0.75
_QUESTION_WEIGHT = 0.7
_NOT_ABOUT_ONESELF_WEIGHT = 0.8
"""What users say of themselves is what later sessions ask for."""

_TELLING_WORDS = 5
"""Words beyond stop words and pleasantries at which a line counts in full."""

_LEAST_TELLING_WORDS: dict[Role, int] = {"user": 1, "assistant": 3}
""""I'm vegan" tells something, "Enjoy your trip!" does not."""

_FIRST_PERSON = frozenset({"i", "me", "my", "mine", "we", "us", "our", "ours"})

_PLEASANTRIES_TEXT = """
    hi hello hey thanks thank thx ok okay yes yeah yep nope wow sure please sorry welcome bye goodbye cheers great cool
    nice good awesome perfect amazing wonderful lovely excellent fine well glad happy help helpful helps need know let
    got get see sounds look looks like really super much lot day morning afternoon evening night anything everything
    something else today later talk time hope enjoy love exactly right
"""
_PLEASANTRIES = frozenset(_PLEASANTRIES_TEXT.split())
_WORD = re.compile(r"\w+")


def summarise(
    passages: Sequence[tuple[Role, str]], vectors: NDArray[np.float32], *, names: Sequence[str] | None = None
) -> str:
    """Up to `MAX_SUMMARY_TOKENS` of what a session was about.

    Args:
        passages: speaker and text, in the order of the conversation.
        vectors: shape (len(passages), dimension), the unit vector of each.
        names: of each, who said it by name, with which the text then begins; "" for nobody by name.

    Returns:
        Lines such as "User: …" and "Assistant: …", in the order of the conversation; the same for
        the same arguments. Empty if nothing was said but pleasantries.

    Raises:
        ValueError: there is not one vector for each passage.
    """
    if len(passages) != len(vectors):
        raise ValueError(f"{len(passages)} passages but {len(vectors)} vectors")
    named = names if names is not None else [""] * len(passages)
    lines = [_line(role, text, name) for (role, text), name in zip(passages, named, strict=True)]
    weights = np.array([_weight(role, line) for (role, _), line in zip(passages, lines, strict=True)], dtype=np.float32)
    taken: list[int] = []
    room = MAX_SUMMARY_TOKENS
    for index in _by_relevance(vectors, weights):
        tokens = estimate_tokens(lines[index])
        if tokens <= room and lines[index] not in (lines[other] for other in taken):
            taken.append(index)
            room -= tokens
    return "\n".join(lines[index] for index in sorted(taken))


def _line(role: Role, text: str, name: str) -> str:
    """Speaker and the most telling sentences of a passage, on one line; empty where there is nothing to quote."""
    text = text.removeprefix(f"{name}: ") if name else text
    excerpts = split(text[:_MAX_EXAMINED], max_tokens=_MAX_LINE_TOKENS) if role in _LABELS else []
    if not excerpts:
        return ""
    return f"{' '.join(filter(None, (_LABELS[role], name)))}: {' '.join(max(excerpts, key=_telling).split())}"


def _telling(text: str) -> int:
    """How many different words are neither stop words nor pleasantries."""
    return len({word for word in _WORD.findall(text.lower()) if word not in ENGLISH and word not in _PLEASANTRIES})


def _weight(role: Role, line: str) -> float:
    """0 for a line that tells nothing, 1 for a user's full statement about themselves."""
    said = line.partition(": ")[2]
    telling = _telling(said)
    if not line or telling < _LEAST_TELLING_WORDS[role]:
        return 0.0
    weight = min(1.0, telling / _TELLING_WORDS)
    if role == "assistant":
        weight *= _ASSISTANT_WEIGHT
    elif _FIRST_PERSON.isdisjoint(_WORD.findall(said.lower())):
        weight *= _NOT_ABOUT_ONESELF_WEIGHT
    if said.endswith(("?", "？")):
        weight *= _QUESTION_WEIGHT
    return weight


def _by_relevance(vectors: NDArray[np.float32], weights: NDArray[np.float32]) -> list[int]:
    """Indices of passages with a weight, best first, each chosen in view of those before it."""
    if not weights.any():
        return []
    subject = dots(weights, vectors.T)
    subject /= max(float(np.linalg.norm(subject)), 1e-9)
    relevance = weights * dots(subject, vectors)
    repeats = np.zeros(len(weights), dtype=np.float32)
    open_ = weights > 0
    order: list[int] = []
    while open_.any() and len(order) < _MAX_TRIES:
        value = np.where(open_, (1 - _NOVELTY) * relevance - _NOVELTY * repeats, -np.inf)
        best = int(np.argmax(value))
        order.append(best)
        open_[best] = False
        repeats = np.maximum(repeats, dots(vectors[best], vectors))
    return order
