"""Counting what the memory block costs, without ever counting what cannot fit."""

from __future__ import annotations

from collections.abc import Callable

from recallr_litellm.core.escaping import escape
from recallr_litellm.core.markup import behind_mark, mark

CHARACTERS_PER_TOKEN = 8
"""Text longer than this, times the tokens there is room for, is taken not to fit, and is never counted.

Twice the 4 characters per token of English prose: only runs of one repeated character are denser,
and a pasted megabyte is settled by its length."""

_USUAL_CHARACTERS_PER_TOKEN = 4
_HEAD = 2 / 3
"""Share of an excerpt that comes from the start of the text; the rest comes from its end."""


class Meter:
    """Counts pieces of text, each different piece once.

    Args:
        count_tokens: tokens of a text, for the model that will read it.
    """

    def __init__(self, count_tokens: Callable[[str], int]) -> None:
        self._count = count_tokens
        self._costs: dict[str, int] = {}

    def cost(self, piece: str) -> int:
        """Tokens of a piece of bounded length."""
        cost = self._costs.get(piece)
        if cost is None:
            cost = self._costs[piece] = self._count(piece)
        return cost

    def fits(self, piece: str, room: int) -> bool:
        """True when the piece takes at most `room` tokens. Costs the same for a megabyte as for a page."""
        return not too_long(piece, room) and self.cost(piece) <= room

    def excerpt(self, text: str, room: int) -> str | None:
        """The start and the end of a text that is too long, escaped, with a mark for what is left out.

        Returns:
            At most `room` tokens; None when not even a few words fit.
        """
        # A text that is short of characters and still too long (Chinese, say) starts below its own length.
        width = min(_USUAL_CHARACTERS_PER_TOKEN * room, len(text) * 9 // 10)
        while width > 2 * _USUAL_CHARACTERS_PER_TOKEN:
            piece = shorten(text, width)
            cost = self.cost(piece)
            if cost <= room:
                return piece
            width = min(width * room // cost, width * 9 // 10)
        return None


def tokens_shown(text: str, count_tokens: Callable[[str], int]) -> int:
    """Tokens that a text takes behind the mark of its line, to the end of the line.

    The mark and this together take no less than the whole line, and mostly just as much: tokenizers cut at the space.
    """
    text = escape(text)
    return count_tokens(f"{behind_mark(text)}\n")


def too_long(text: str, room: int) -> bool:
    """True when a text is taken not to fit into `room` tokens, by its length alone."""
    return len(text) > CHARACTERS_PER_TOKEN * max(room, 0)


def shorten(text: str, width: int) -> str:
    """The text, escaped; when longer than `width` characters only its start and end, with a mark between."""
    if len(text) <= width:
        return escape(text)
    head = _cut_at_space(text[: int(width * _HEAD)])
    tail = _cut_at_space(text[len(text) - (width - int(width * _HEAD)) :][::-1])[::-1]
    left_out = len(text) - len(head) - len(tail)
    return f"{escape(head)} {mark(f'{left_out} characters left out')} {escape(tail)}".rstrip()


def _cut_at_space(text: str) -> str:
    """Without the word that was cut through at the end, if the cut is not too deep."""
    kept = text.rstrip() if text[-1:].isspace() else text[: max(text.rfind(" "), text.rfind("\n")) + 1].rstrip()
    return kept if len(kept) * 5 >= len(text) * 4 else text
